/** Messages for people about errors, from the error table of the daemon. Without access to the page or the network. */

import { endSentence } from "./formatting.js";

export class ErrorMessages {
  /** @type {Map<string, any>} */
  #table = new Map();

  /** Replaces the table. @param {any[]} rows of `GET /api/v1/errors` */
  load(rows) {
    this.#table = new Map(rows.map((row) => [row.code, row]));
  }

  /** @param {string} code */
  title(code) {
    return this.#table.get(code)?.title ?? code;
  }

  /** @param {string} code */
  resolution(code) {
    return this.#table.get(code)?.resolution ?? "";
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
      return { problem: "The server cannot be reached.", resolution: "The page reconnects by itself and keeps your input." };
    }
    if (error?.name !== "ApiError") {
      return { problem: "The page has a defect.", resolution: `Reload it. The error was: ${error?.message ?? error}` };
    }
    if (error.status === 401) return { problem: "The token is not valid.", resolution: "Sign in again." };
    if (error.code === "error-unauthorized") {
      return { problem: "You lack the permission for this.", resolution: "Ask the administrator for the permission." };
    }
    if (error.code.startsWith("HTTP_")) {
      return {
        problem: `A proxy answered with ${error.status}.`,
        resolution: "Try again; if it persists, tell the administrator of the proxy.",
      };
    }
    return {
      problem: endSentence(this.summary(error.code, error.detail)),
      resolution: endSentence(this.resolution(error.code)),
    };
  }
}
