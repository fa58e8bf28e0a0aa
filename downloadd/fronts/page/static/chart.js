/** Chart of the total speed over the last minutes. */

import { setAttribute, setText } from "./element.js";
import { formatSpeed } from "./formatting.js";
import { t } from "./texts.js";

/** Seconds that the chart shows. */
const SECONDS = 300;

export class Chart {
  /** @type {number[]} bytes a second, the newest last */
  #speeds = [];

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{now: HTMLElement, peak: HTMLElement}} labels
   */
  constructor(canvas, labels) {
    this.canvas = canvas;
    this.labels = labels;
    addEventListener("resize", () => this.draw(), { passive: true });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** Adds a value; call it once a second. @param {number} bytes a second */
  add(bytes) {
    this.#speeds.push(bytes);
    if (this.#speeds.length > SECONDS) this.#speeds.shift();
    this.draw();
  }

  draw() {
    const { canvas } = this;
    const peak = Math.max(0, ...this.#speeds);
    const now = this.#speeds.at(-1) ?? 0;
    setText(this.labels.now, formatSpeed(now));
    setText(this.labels.peak, peak ? t("peak {speed} in 5 minutes", { speed: formatSpeed(peak) }) : t("no transfer in the last 5 minutes"));
    setAttribute(canvas, "aria-label", t("Speed of the last five minutes: now {now}, peak {peak}", { now: formatSpeed(now), peak: formatSpeed(peak) }));
    if (document.hidden || !canvas.offsetParent) return;
    const scale = devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * scale);
    const height = Math.round(canvas.clientHeight * scale);
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    const drawing = canvas.getContext("2d");
    if (!drawing) return;
    const style = getComputedStyle(canvas);
    drawing.clearRect(0, 0, width, height);
    drawing.fillStyle = style.getPropertyValue("--line");
    for (const part of [0, 0.5]) drawing.fillRect(0, Math.round(height * part), width, 1);
    drawing.fillRect(0, height - 1, width, 1);
    if (!peak) return;
    const x = (/** @type {number} */ at) => width - ((this.#speeds.length - 1 - at) / (SECONDS - 1)) * width;
    const y = (/** @type {number} */ value) => height - (value / (peak * 1.1)) * height;
    drawing.beginPath();
    this.#speeds.forEach((value, at) => drawing.lineTo(x(at), y(value)));
    drawing.strokeStyle = style.getPropertyValue("--accent");
    drawing.lineWidth = 1.5 * scale;
    drawing.lineJoin = "round";
    drawing.stroke();
    drawing.lineTo(x(this.#speeds.length - 1), height);
    drawing.lineTo(x(0), height);
    drawing.globalAlpha = 0.15;
    drawing.fillStyle = style.getPropertyValue("--accent");
    drawing.fill();
    drawing.globalAlpha = 1;
  }
}
