
"use strict";

/** A picture of the ground that can be dragged and zoomed. Places are metres east and north. */
class SlippyMap {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{west: number, north: number, gsd: number, width: number, height: number, focus: number[], image: string}} picture
   * @param {(context: CanvasRenderingContext2D, map: SlippyMap) => void} drawOver
   * @param {(x: number, y: number) => void} onClick
   */
  constructor(canvas, picture, drawOver, onClick) {
    this.canvas = canvas;
    this.picture = picture;
    this.drawOver = drawOver;
    this.onClick = onClick;
    this.pointers = new Map();
    [this.east, this.north, this.metresPerPixel] = [0, 0, 1];
    this.waiting = false;
    this.image = new Image();
    this.image.onload = () => this.redraw();
    this.image.src = picture.image;
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.listen();
    this.resize();
  }

  resize() {
    const first = !this.width;
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(this.width * ratio));
    this.canvas.height = Math.max(1, Math.round(this.height * ratio));
    if (first) this.fit();
    this.redraw();
  }

  /** Show all that happened. */
  fit() {
    const [west, south, east, north] = this.picture.focus;
    const margin = 80;
    this.east = (west + east) / 2;
    this.north = (south + north) / 2;
    this.metresPerPixel = Math.max((east - west + margin) / this.width, (north - south + margin) / this.height) || 1;
    this.redraw();
  }

  toScreen([east, north]) {
    return [
      this.width / 2 + (east - this.east) / this.metresPerPixel,
      this.height / 2 - (north - this.north) / this.metresPerPixel,
    ];
  }

  toGround(x, y) {
    return [
      this.east + (x - this.width / 2) * this.metresPerPixel,
      this.north - (y - this.height / 2) * this.metresPerPixel,
    ];
  }

  /** Zoom in by a factor above 1, out below 1; what lies under the point stays there. */
  zoomAt(x, y, factor) {
    const [east, north] = this.toGround(x, y);
    const widest = (4 * Math.max(this.picture.width, this.picture.height) * this.picture.gsd) / this.width;
    this.metresPerPixel = Math.min(Math.max(this.metresPerPixel / factor, 0.02), Math.max(widest, 0.05));
    const [nowEast, nowNorth] = this.toGround(x, y);
    this.panBy((nowEast - east) / this.metresPerPixel, -(nowNorth - north) / this.metresPerPixel);
  }

  /** Move what is shown by pixels to the right and down. */
  panBy(dx, dy) {
    this.east -= dx * this.metresPerPixel;
    this.north += dy * this.metresPerPixel;
    this.redraw();
  }

  /** Bring a place into view, if it is not well within it. */
  reveal(place) {
    const [x, y] = this.toScreen(place);
    const margin = 0.1;
    const inside = x > margin * this.width && x < (1 - margin) * this.width
      && y > margin * this.height && y < (1 - margin) * this.height;
    if (!inside) [this.east, this.north] = place;
    this.redraw();
  }

  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  draw() {
    const context = this.canvas.getContext("2d");
    const ratio = this.canvas.width / Math.max(this.width, 1);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    const { west, north, gsd, width, height } = this.picture;
    const [x, y] = this.toScreen([west, north]);
    const scale = gsd / this.metresPerPixel;
    context.imageSmoothingEnabled = scale < 4;
    context.imageSmoothingQuality = "high";
    if (this.image.complete) context.drawImage(this.image, x, y, width * scale, height * scale);
    this.drawOver(context, this);
  }

  listen() {
    const canvas = this.canvas;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
      this.moved = this.pointers.size > 1 ? Infinity : 0;
    });
    canvas.addEventListener("pointermove", (event) => this.onMove(event));
    canvas.addEventListener("pointerup", (event) => {
      if (this.pointers.delete(event.pointerId) && this.moved < 5) this.onClick(event.offsetX, event.offsetY);
    });
    canvas.addEventListener("pointercancel", (event) => this.pointers.delete(event.pointerId));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
      this.zoomAt(event.offsetX, event.offsetY, Math.exp(-event.deltaY * lines * 0.0015));
    }, { passive: false });
  }

  /** One pointer drags, two pinch. */
  onMove(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = [event.offsetX, event.offsetY];
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    this.pointers.set(event.pointerId, now);
    const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
    this.moved += Math.hypot(dx, dy);
    if (!others.length) {
      this.panBy(dx, dy);
      return;
    }
    const [x, y] = others[0];
    const apart = Math.hypot(before[0] - x, before[1] - y);
    if (apart > 1) this.zoomAt(x, y, Math.hypot(now[0] - x, now[1] - y) / apart);
  }
}
