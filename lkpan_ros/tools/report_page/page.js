
const data = JSON.parse(byId("data").textContent);
const frames = data.frames;
const shownLayers = Object.fromEntries(LAYERS.map((layer) => [layer.name, layer.shown]));
const AMONG = {
  all: () => true,
  fix: (frame) => frame.fix,
  false: (frame) => frame.false === true,
  refused: (frame) => !frame.fix,
  outside: (frame) => frame.inGallery === false,
};

const layers = new Layers(frames, shownLayers);
const map = new SlippyMap(
  byId("map"), data.map, (context, shown) => {
    layers.draw(context, shown, data);
    sayWhere();
  },
  (x, y) => {
    const index = layers.at(map, x, y);
    if (index !== null) choose(index, false);
  },
);
const timeLine = new TimeLine(byId("time"), frames, choose);
const panel = new Panel(data, map.image);

/** Make a frame the one that map, time line and panel show. */
function choose(index, reveal = true) {
  layers.chosen = timeLine.chosen = index;
  panel.show(index);
  timeLine.draw();
  const frame = frames[index];
  const slider = byId("slider");
  slider.value = index;
  slider.setAttribute("aria-valuetext", `${byId("frame-title").textContent}, ${frame.stamp.toFixed(1)} s, ${byId("verdict").textContent}`);
  const place = placeOf(frame);
  if (reveal && place) map.reveal(place);
  map.redraw();
}

/** The next frame of those stepped through, forwards or backwards; stays where there is none. */
function step(by) {
  const wanted = AMONG[byId("among").value];
  for (let index = layers.chosen + by; index >= 0 && index < frames.length; index += by) {
    if (wanted(frames[index])) {
      choose(index);
      return;
    }
  }
}

function sayWhere(place = [map.east, map.north]) {
  const [east, north] = place.map((value) => value.toFixed(1));
  byId("where").textContent = `east ${east} m, north ${north} m of the datum · ${map.metresPerPixel.toPrecision(3)} m a pixel`;
}

function zoomBy(factor) {
  map.zoomAt(map.width / 2, map.height / 2, factor);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, summary")) return;
  const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
  const actions = {
    ArrowLeft: () => step(-1), ArrowRight: () => step(1),
    Home: () => choose(0), End: () => choose(frames.length - 1),
    "+": () => zoomBy(1.5), "=": () => zoomBy(1.5), "-": () => zoomBy(1 / 1.5), 0: () => map.fit(),
  };
  const action = event.shiftKey && moves[event.key] ? () => map.panBy(...moves[event.key]) : actions[event.key];
  if (!action || (event.key in moves && event.shiftKey && event.target !== map.canvas)) return;
  event.preventDefault();
  action();
}

function addLayerBoxes() {
  for (const layer of LAYERS) {
    const box = element("input");
    box.type = "checkbox";
    box.checked = layer.shown;
    box.addEventListener("change", () => {
      shownLayers[layer.name] = box.checked;
      map.redraw();
    });
    byId("layers").append(element("label", "", "", box, sample(layer.name), layer.words));
  }
}

/** How a layer looks, for its box. */
function sample(name) {
  const canvas = element("canvas");
  canvas.setAttribute("aria-hidden", "true");
  [canvas.width, canvas.height] = [52, 28];
  const context = canvas.getContext("2d");
  context.scale(2, 2);
  const line = (dashes) => {
    context.beginPath();
    context.setLineDash(dashes);
    context.moveTo(2, 7);
    context.lineTo(24, 7);
    stroke(context, COLOURS[name] || COLOURS.vehicle, 2);
  };
  if (name === "truth") line([]);
  else if (name === "trueView") line([2, 4]);
  else if (name === "errors") line([]);
  else if (name === "matches") badge(context, [13, 7], 1);
  else if (name === "refused") cross(context, [13, 7], 4, COLOURS.refused);
  else if (name === "ellipses") {
    context.beginPath();
    context.ellipse(13, 7, 10, 5, 0, 0, 2 * Math.PI);
    stroke(context, COLOURS.vehicle, 1.2);
  } else disc(context, [13, 7], 3.5, COLOURS[name]);
  return canvas;
}

function countAmong() {
  const count = frames.filter(AMONG[byId("among").value]).length;
  byId("among-count").textContent = `${count}`;
}

byId("slider").max = frames.length - 1;
byId("slider").addEventListener("input", (event) => choose(Number(event.target.value)));
byId("among").addEventListener("change", () => {
  countAmong();
  if (!AMONG[byId("among").value](frames[layers.chosen])) step(1);
});
byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
byId("zoom-in").addEventListener("click", () => zoomBy(1.5));
byId("zoom-out").addEventListener("click", () => zoomBy(1 / 1.5));
byId("zoom-fit").addEventListener("click", () => map.fit());
byId("map").addEventListener("pointermove", (event) => sayWhere(map.toGround(event.offsetX, event.offsetY)));
document.addEventListener("keydown", onKey);
addLayerBoxes();
countAmong();
choose(Math.max(frames.findIndex((frame) => frame.fix), 0), false);
