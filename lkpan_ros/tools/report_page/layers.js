
const CHI2_95 = 5.991; // 95 % of a Gaussian in the plane lies within this squared Mahalanobis distance
const COLOURS = {
  truth: "#ffffff", trueView: "#b6ff7a", vehicle: "#19d3ff", view: "#ff9d00", false: "#ff2d55", refused: "#ffe14d",
  chosen: "#ffffff",
};
const LAYERS = [
  { name: "truth", words: "true track of the vehicle", shown: true },
  { name: "trueView", words: "true middle of the view", shown: true },
  { name: "vehicle", words: "fixes of the vehicle", shown: true },
  { name: "view", words: "fixes of the view, or views of the fixes", shown: false },
  { name: "ellipses", words: "95 % ellipses", shown: true },
  { name: "errors", words: "lines to the truth", shown: true },
  { name: "refused", words: "refused frames", shown: true },
  { name: "matches", words: "matches of the frame", shown: true },
];

/** How a frame ended: refused, false, ok, or unknown where a fix has no truth. */
function verdict(frame) {
  if (!frame.fix) return "refused";
  if (frame.false === null) return "unknown";
  return frame.false ? "false" : "ok";
}

/** Where a frame stands on the map: what it states, else the truth; null where neither is known. */
function placeOf(frame) {
  return frame.position || frame.truth || frame.trueView;
}

/** The semi-axes, metres, and the turn of the 95 % ellipse of a covariance [east, east-north, north]. */
function ellipseOf([ee, en, nn]) {
  const middle = (ee + nn) / 2;
  const half = Math.hypot((ee - nn) / 2, en);
  return {
    major: Math.sqrt(Math.max(middle + half, 0) * CHI2_95),
    minor: Math.sqrt(Math.max(middle - half, 0) * CHI2_95),
    angle: 0.5 * Math.atan2(2 * en, ee - nn),
  };
}

/** Draws the flight over a map. */
class Layers {
  constructor(frames, shown) {
    this.frames = frames;
    this.shown = shown;
    this.chosen = 0;
  }

  draw(context, map, data) {
    context.lineJoin = "round";
    if (this.shown.truth) this.track(context, map, "truth", 2.2, []);
    if (this.shown.trueView) this.track(context, map, "trueView", 1.6, [2, 4]);
    if (this.shown.refused) this.refusals(context, map);
    for (const frame of this.frames) this.fix(context, map, frame);
    this.highlight(context, map, this.frames[this.chosen], data);
    if (this.shown.matches) this.matches(context, map, this.frames[this.chosen], data);
    drawScale(context, map);
  }

  /** A line through the truth; broken where it is unknown. */
  track(context, map, name, width, dashes) {
    for (const [colour, extra] of [["#000000a0", 2], [COLOURS[name], 0]]) {
      context.beginPath();
      let before = null;
      for (const frame of this.frames) {
        const place = frame[name];
        if (place) context[before ? "lineTo" : "moveTo"](...map.toScreen(place));
        before = place;
      }
      context.setLineDash(dashes);
      stroke(context, colour, width + extra);
    }
    context.setLineDash([]);
  }

  refusals(context, map) {
    for (const frame of this.frames) {
      const place = frame.fix ? null : placeOf(frame);
      if (place) cross(context, map.toScreen(place), 4, COLOURS.refused);
    }
  }

  fix(context, map, frame) {
    if (!frame.fix || !frame.position) return;
    const ofVehicle = frame.reference === "vehicle";
    if (ofVehicle && this.shown.vehicle) this.mark(context, map, frame, frame.position, frame.covariance, frame.truth, "vehicle");
    if (frame.view && (this.shown.view || (!ofVehicle && this.shown.vehicle))) {
      const covariance = ofVehicle ? frame.viewCovariance : frame.covariance;
      this.mark(context, map, frame, frame.view, covariance, frame.trueView, "view");
    }
  }

  mark(context, map, frame, place, covariance, truth, name) {
    const colour = frame.false ? COLOURS.false : COLOURS[name];
    const at = map.toScreen(place);
    if (this.shown.errors && truth) {
      context.beginPath();
      context.moveTo(...at);
      context.lineTo(...map.toScreen(truth));
      stroke(context, colour, 1.2);
    }
    if (this.shown.ellipses && covariance) {
      ellipse(context, map, place, covariance);
      stroke(context, `${colour}90`, 1);
    }
    disc(context, at, frame.false ? 4.5 : 3, colour);
  }

  /** The chosen frame: its footprint, its ellipses, and the truth. */
  highlight(context, map, frame, data) {
    const half = data.tileSize / 2;
    const seen = frame.view || frame.trueView;
    if (seen) {
      const [left, top] = map.toScreen([seen[0] - half, seen[1] + half]);
      const side = data.tileSize / map.metresPerPixel;
      context.beginPath();
      context.rect(left, top, side, side);
      context.setLineDash(frame.view ? [] : [6, 5]);
      stroke(context, "#000000a0", 4);
      stroke(context, COLOURS.chosen, 2);
      context.setLineDash([]);
    }
    const pairs = [[frame.view, frame.viewCovariance, frame.false ? COLOURS.false : COLOURS.view]];
    if (frame.reference === "vehicle") pairs.push([frame.position, frame.covariance, frame.false ? COLOURS.false : COLOURS.vehicle]);
    for (const [place, covariance, colour] of pairs) {
      if (!place) continue;
      if (covariance) {
        ellipse(context, map, place, covariance);
        context.fillStyle = `${colour}30`;
        context.fill();
        stroke(context, "#000000a0", 3.5);
        stroke(context, colour, 2);
      }
      disc(context, map.toScreen(place), 4.5, colour);
    }
    for (const place of [frame.truth, frame.trueView]) if (place) ring(context, map.toScreen(place), 6);
    const place = placeOf(frame);
    if (place) ring(context, map.toScreen(place), 11);
  }

  /** The middles of the tiles that look most like the chosen frame, numbered; the best on top. */
  matches(context, map, frame, data) {
    frame.matches.map(([tile], rank) => [data.tiles[tile].at, rank + 1]).reverse().forEach(([place, number]) => {
      badge(context, map.toScreen(place), number);
    });
  }

  /** The index of the frame nearest to a point of the screen, or null where none is near. */
  at(map, x, y) {
    let [best, nearest] = [null, 16];
    this.frames.forEach((frame, index) => {
      const places = [frame.position, frame.fix && this.shown.view ? frame.view : null];
      if (!frame.fix && this.shown.refused) places.push(placeOf(frame));
      for (const place of places) {
        if (!place) continue;
        const [px, py] = map.toScreen(place);
        const apart = Math.hypot(px - x, py - y);
        if (apart < nearest) [best, nearest] = [index, apart];
      }
    });
    return best;
  }
}

function stroke(context, colour, width) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke();
}

function disc(context, [x, y], radius, colour) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.fill();
  stroke(context, "#000000c0", 1);
}

function ring(context, [x, y], radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  stroke(context, "#000000b0", 4);
  stroke(context, COLOURS.chosen, 2);
}

function badge(context, [x, y], number) {
  context.beginPath();
  context.roundRect(x - 8, y - 8, 16, 16, 4);
  context.fillStyle = "#10151bd0";
  context.fill();
  stroke(context, "#ffffffc0", 1);
  context.font = "600 11px system-ui, sans-serif";
  context.textAlign = "center";
  context.fillStyle = "#ffffff";
  context.fillText(`${number}`, x, y + 4);
}

function cross(context, [x, y], size, colour) {
  context.beginPath();
  context.moveTo(x - size, y - size);
  context.lineTo(x + size, y + size);
  context.moveTo(x + size, y - size);
  context.lineTo(x - size, y + size);
  stroke(context, "#000000c0", 3.5);
  stroke(context, colour, 1.8);
}

function ellipse(context, map, place, covariance) {
  const { major, minor, angle } = ellipseOf(covariance);
  const [x, y] = map.toScreen(place);
  context.beginPath();
  context.ellipse(x, y, major / map.metresPerPixel, minor / map.metresPerPixel, -angle, 0, 2 * Math.PI);
}

/** A bar of a round length, bottom right. */
function drawScale(context, map) {
  const rough = 120 * map.metresPerPixel;
  const decade = 10 ** Math.floor(Math.log10(rough));
  const length = [5, 2, 1].map((factor) => factor * decade).find((metres) => metres <= rough);
  const [right, bottom, wide] = [map.width - 16, map.height - 16, length / map.metresPerPixel];
  context.beginPath();
  context.moveTo(right - wide, bottom - 6);
  context.lineTo(right - wide, bottom);
  context.lineTo(right, bottom);
  context.lineTo(right, bottom - 6);
  stroke(context, "#000000c0", 5);
  stroke(context, "#ffffff", 2);
  const words = length >= 1000 ? `${length / 1000} km` : `${length} m`;
  context.font = "600 12px system-ui, sans-serif";
  context.textAlign = "center";
  context.lineWidth = 3;
  context.strokeStyle = "#000000c0";
  context.strokeText(words, right - wide / 2, bottom - 8);
  context.fillStyle = "#ffffff";
  context.fillText(words, right - wide / 2, bottom - 8);
}
