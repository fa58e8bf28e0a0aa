/** Messages for people about errors, from the error table of the daemon. Without access to the page or the network. */

import { endSentence } from "./formatting.js";
import { t } from "./texts.js";

export class ErrorMessages {
  /** @type {Map<string, any>} */
  #table = new Map();

  /** Replaces the table. @param {any[]} rows of `GET /api/v1/errors` */
  load(rows) {
    this.#table = new Map(rows.map((row) => [row.code, row]));
  }

  /** @param {string} code */
  title(code) {
    return t(this.#table.get(code)?.title ?? code);
  }

  /** @param {string} code */
  resolution(code) {
    return t(this.#table.get(code)?.resolution ?? "");
  }

  /** Returns title and detail in one line. @param {string} code @param {string | null | undefined} detail */
  summary(code, detail) {
    return detail ? `${this.title(code)}: ${detail}` : this.title(code);
  }

  /**
   * Returns the problem and its resolution for an exception of the client.
   * @param {any} error
   * @returns {{problem: string, resolution: string}}
   */
  describe(error) {
    if (error?.name === "ConnectionLost") {
      return { problem: t("The server cannot be reached."), resolution: t("The page reconnects by itself and keeps your input.") };
    }
    if (error?.name !== "ApiError") {
      return { problem: t("The page has a defect."), resolution: t("Reload it. The error was: {error}", { error: error?.message ?? error }) };
    }
    if (error.status === 401) return { problem: t("The token is not valid."), resolution: t("Sign in again.") };
    if (error.code === "error-unauthorized") {
      return { problem: t("You lack the permission for this."), resolution: t("Ask the administrator for the permission.") };
    }
    if (error.code.startsWith("HTTP_")) {
      return {
        problem: t("A proxy answered with {status}.", { status: error.status }),
        resolution: t("Try again; if it persists, tell the administrator of the proxy."),
      };
    }
    return {
      problem: endSentence(this.summary(error.code, error.detail)),
      resolution: endSentence(this.resolution(error.code)),
    };
  }
}
