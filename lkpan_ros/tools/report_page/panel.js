
const byId = (id) => document.getElementById(id);
const metres = (value) => (value === null ? "unknown" : `${value.toFixed(value < 100 ? 1 : 0)} m`);
const VERDICTS = { ok: "fix", unknown: "fix, truth unknown", false: "FALSE FIX", refused: "refused" };

/** An element with a class, text and children; text is never read as markup. */
function element(name, kind = "", text = "", ...children) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

/** Shows one frame: what it saw beside what it was compared with, and all that was stated of it. */
class Panel {
  constructor(data, mapImage) {
    this.data = data;
    this.mapImage = mapImage;
  }

  show(index) {
    const frame = this.data.frames[index];
    const how = verdict(frame);
    byId("frame-title").textContent = `frame ${index + 1} of ${this.data.frames.length}`;
    byId("verdict").className = `verdict ${how}`;
    const of = frame.fix ? ` of the ${frame.reference}` : `: ${frame.reason}`;
    byId("verdict").textContent = VERDICTS[how] + of + (frame.inGallery === false ? ", outside the gallery" : "");
    byId("detail").textContent = frame.detail;
    byId("views").replaceChildren(...this.views(frame));
    byId("matches").replaceChildren(...this.matches(frame));
    byId("facts").replaceChildren(...facts(frame));
    byId("stages").replaceChildren(...stages(frame));
  }

  views(frame) {
    const heading = frame.assumedHeading === null ? "north up" : `for heading ${frame.assumedHeading.toFixed(0)}°`;
    const query = frame.patch
      ? picture(frame.patch, "view from above", "query patch", heading)
      : picture(frame.picture, frame.picture ? "the frame" : "no picture", "the frame as it was taken", "no view from above");
    return [
      query,
      this.ground(frame.view, "map where stated", frame.viewError === null ? "" : `${metres(frame.viewError)} off`, "none stated"),
      this.ground(frame.trueView, "map at the truth", "", "unknown"),
    ];
  }

  /** The map's square about a place, as large as a tile. */
  ground(place, words, more, without) {
    const caption = captionOf(words, more);
    if (!place) return element("figure", "shown", "", element("div", "none", without), caption);
    const canvas = element("canvas");
    canvas.width = canvas.height = 256;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", words);
    const { west, north, gsd } = this.data.map;
    const side = this.data.tileSize / gsd;
    const draw = () => canvas.getContext("2d").drawImage(
      this.mapImage, (place[0] - west) / gsd - side / 2, (north - place[1]) / gsd - side / 2, side, side, 0, 0, 256, 256,
    );
    if (this.mapImage.complete) draw();
    else this.mapImage.addEventListener("load", draw, { once: true });
    return element("figure", "shown", "", canvas, caption);
  }

  matches(frame) {
    if (!frame.matches.length) return [element("p", "nothing", "none: the frame was refused before the search")];
    return frame.matches.map(([tile, similarity], rank) => {
      const { at, image } = this.data.tiles[tile];
      const from = frame.trueView || frame.view;
      const apart = from ? Math.hypot(at[0] - from[0], at[1] - from[1]) : null;
      const what = frame.trueView ? "from truth" : "from the fix";
      const words = apart === null ? `tile ${tile}` : `${apart.toFixed(0)} m ${what}`;
      const shown = picture(image, similarity.toFixed(3), `match ${rank + 1}, tile ${tile}`, words);
      if (frame.trueView && apart <= this.data.radius) shown.classList.add("right");
      shown.title = `tile ${tile}, similarity ${similarity.toFixed(4)}`;
      return shown;
    });
  }
}

/** Words below a picture, the first of them stronger. */
function captionOf(words, more) {
  return element("figcaption", "", "", element("b", "", words), element("br"), more);
}

/** A stored picture and the words below it. */
function picture(source, words, label, more) {
  const caption = captionOf(words, more);
  if (!source) return element("figure", "shown", "", element("div", "none", "none"), caption);
  const image = element("img");
  image.src = source;
  image.alt = label;
  return element("figure", "shown", "", image, caption);
}

function facts(frame) {
  const rows = [["time", `${frame.stamp.toFixed(3)} s`], ["picture", frame.file]];
  if (frame.fix) {
    rows.push([`position of the ${frame.reference}`, frame.latLon.map((value) => value.toFixed(7)).join(", ")]);
    rows.push(["its error", metres(frame.error)]);
    rows.push(...covarianceRows(frame.covariance));
    if (frame.reference === "vehicle") {
      rows.push(["error of the view", metres(frame.viewError)]);
      rows.push(...covarianceRows(frame.viewCovariance));
    }
    rows.push(["NEES (1 is honest)", frame.nees === null ? "unknown" : frame.nees.toFixed(2)]);
  }
  rows.push(["stated probability", frame.probability === null ? "none" : frame.probability.toFixed(4)]);
  if (frame.rank !== null) rows.push(["rank of the right tile", frame.rank ? `${frame.rank}` : "not among the candidates"]);
  if (frame.registration) rows.push(["best registration", registrationWords(frame)]);
  return rows.flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value)]);
}

/** How well, and where, the refinement laid the view on the map. */
function registrationWords({ registration, trueView }) {
  const { at, quality, turn, scale } = registration;
  const number = (value, digits) => (value === null ? "unknown" : value.toFixed(digits));
  const apart = trueView ? `, ${metres(Math.hypot(at[0] - trueView[0], at[1] - trueView[1]))} from the truth` : "";
  return `quality ${number(quality, 2)}, turn ${number(turn, 1)}°, scale ${number(scale, 3)}${apart}`;
}

function covarianceRows(covariance) {
  if (!covariance) return [["its covariance", "unknown"]];
  const [east, north] = [Math.sqrt(covariance[0]), Math.sqrt(covariance[2])];
  const { major, minor } = ellipseOf(covariance);
  const correlation = east * north > 0 ? covariance[1] / (east * north) : 0;
  return [
    ["its covariance", `σ ${east.toFixed(1)} m east, ${north.toFixed(1)} m north, ρ ${correlation.toFixed(2)}`],
    ["its 95 % ellipse", `±${major.toFixed(1)} m × ±${minor.toFixed(1)} m`],
  ];
}

function stages(frame) {
  const known = frame.stages.filter(([, value]) => value !== null);
  const longest = Math.max(...known.map(([, value]) => value), 1e-9);
  const rows = known.map(([name, value]) => {
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const rectangle = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    bar.setAttribute("viewBox", "0 0 100 8");
    bar.setAttribute("preserveAspectRatio", "none");
    bar.setAttribute("aria-hidden", "true");
    rectangle.setAttribute("width", `${(100 * value) / longest}`);
    rectangle.setAttribute("height", "8");
    bar.append(rectangle);
    return element("div", "stages-row", "", element("span", "", name), bar, element("span", "", `${value.toFixed(1)} ms`));
  });
  if (frame.total !== null) {
    rows.push(element("div", "stages-row", "", element("b", "", "total"), element("span"), element("span", "", `${frame.total.toFixed(1)} ms`)));
  }
  return rows;
}
