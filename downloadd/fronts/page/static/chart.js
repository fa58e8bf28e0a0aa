/** The speed of all downloads together over the last minutes. */

import { mark, say } from "./element.js";
import { speed } from "./words.js";

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

  /** To be called once a second. @param {number} bytes */
  add(bytes) {
    this.#speeds.push(bytes);
    if (this.#speeds.length > SECONDS) this.#speeds.shift();
    this.draw();
  }

  draw() {
    const { canvas } = this;
    const peak = Math.max(0, ...this.#speeds);
    const now = this.#speeds.at(-1) ?? 0;
    say(this.labels.now, speed(now));
    say(this.labels.peak, peak ? `at most ${speed(peak)} in 5 minutes` : "nothing in the last minutes");
    mark(canvas, "aria-label", `Speed of the last five minutes: now ${speed(now)}, at most ${speed(peak)}`);
    if (document.hidden || !canvas.offsetParent) return;
    const scale = devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * scale);
    const height = Math.round(canvas.clientHeight * scale);
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    const pen = canvas.getContext("2d");
    if (!pen) return;
    const style = getComputedStyle(canvas);
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = style.getPropertyValue("--line");
    for (const part of [0, 0.5]) pen.fillRect(0, Math.round(height * part), width, 1);
    pen.fillRect(0, height - 1, width, 1);
    if (!peak) return;
    const x = (/** @type {number} */ at) => width - ((this.#speeds.length - 1 - at) / (SECONDS - 1)) * width;
    const y = (/** @type {number} */ value) => height - (value / (peak * 1.1)) * height;
    pen.beginPath();
    this.#speeds.forEach((value, at) => pen.lineTo(x(at), y(value)));
    pen.strokeStyle = style.getPropertyValue("--accent");
    pen.lineWidth = 1.5 * scale;
    pen.lineJoin = "round";
    pen.stroke();
    pen.lineTo(x(this.#speeds.length - 1), height);
    pen.lineTo(x(0), height);
    pen.globalAlpha = 0.15;
    pen.fillStyle = style.getPropertyValue("--accent");
    pen.fill();
    pen.globalAlpha = 1;
  }
}
