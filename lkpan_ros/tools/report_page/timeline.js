
const [LOWEST_M, HIGHEST_M, STRIP_PX, GUTTER_PX] = [0.3, 300, 14, 46];

/** A bar a frame: as high as its error, coloured as it ended. */
class TimeLine {
  constructor(canvas, frames, choose) {
    this.canvas = canvas;
    this.frames = frames;
    this.chosen = 0;
    const pick = (event) => {
      const share = event.offsetX / Math.max(canvas.clientWidth - GUTTER_PX, 1);
      choose(Math.min(Math.max(Math.floor(share * frames.length), 0), frames.length - 1));
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      pick(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (event.buttons) pick(event);
    });
    new ResizeObserver(() => this.draw()).observe(canvas);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  draw() {
    const { canvas, frames } = this;
    const ratio = window.devicePixelRatio || 1;
    const [wide, height] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = Math.max(1, Math.round(wide * ratio));
    canvas.height = Math.max(1, Math.round(height * ratio));
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const floor = height - STRIP_PX - 2;
    const top = (metres) => {
      const share = Math.log(Math.max(metres, LOWEST_M) / LOWEST_M) / Math.log(HIGHEST_M / LOWEST_M);
      return floor - Math.min(share, 1) * (floor - 2);
    };
    const width = wide - GUTTER_PX;
    const step = width / frames.length;
    frames.forEach((frame, index) => {
      context.fillStyle = colour(verdict(frame));
      const thick = Math.max(step - (step > 4 ? 1 : 0), 0.6);
      context.fillRect(index * step, height - STRIP_PX, thick, STRIP_PX);
      if (frame.fix && frame.error !== null) {
        context.fillRect(index * step, top(frame.error), thick, floor - top(frame.error));
      }
    });
    this.lines(context, width, top, colour);
    context.fillStyle = colour("ink");
    context.fillRect((this.chosen + 0.5) * step - 1, 0, 2, height);
  }

  lines(context, width, top, colour) {
    context.font = "10px system-ui, sans-serif";
    context.textAlign = "left";
    for (const metres of [1, 10, 30, 100]) {
      context.beginPath();
      context.moveTo(0, top(metres));
      context.lineTo(width, top(metres));
      context.setLineDash(metres === 30 ? [5, 4] : []);
      context.globalAlpha = metres === 30 ? 0.9 : 0.35;
      stroke(context, colour("soft"), 1);
      context.globalAlpha = 1;
      context.fillStyle = colour("soft");
      context.fillText(`${metres} m`, width + 8, top(metres) + 3.5);
    }
    context.setLineDash([]);
  }
}
