// Draws drags, zooms and anchors over an image.

const INK = { drag: "#ff4f7b", anchor: "#21c7a8", zoom: "#ffb020", reached: "#21c7a8" };

// `region` is what may move; `reach`, if any, the circle that the drag in progress stays inside;
// `brush`, if any, a circle at the pointer.
export function drawMarks(canvas, size, { region, marks, done, cursor, reach, brush }) {
  const ratio = devicePixelRatio || 1;
  const side = Math.max(1, Math.round(canvas.clientWidth * ratio));
  if (canvas.width !== side) [canvas.width, canvas.height] = [side, side];
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, side, side);
  const on = (value) => ((value + 0.5) / size) * side;
  const unit = ratio * 1.15;
  context.lineCap = context.lineJoin = "round";
  region.draw(context, side);
  if (brush) stroke(context, "#ffffff", 1.4 * unit, () => context.arc(on(brush.x), on(brush.y), (brush.width / 2 / size) * side, 0, 7));
  if (reach) ring(context, on(reach.x), on(reach.y), unit, (reach.radius / size) * side);
  for (const mark of done) {
    context.globalAlpha = 0.9;
    const reached = mark.report?.reached;
    arrow(context, on, unit, mark, reached ? INK.reached : INK.drag, true);
  }
  context.globalAlpha = 1;
  for (const mark of marks) {
    if (mark.anchor) anchor(context, on(mark.x), on(mark.y), unit);
    else if (mark.zoom) zoom(context, on(mark.x), on(mark.y), unit, mark.log_expansion);
    else arrow(context, on, unit, mark, INK.drag, false);
  }
  if (cursor) cross(context, on(cursor[0]), on(cursor[1]), unit);
}

function stroke(context, colour, width, path) {
  for (const [ink, extra] of [["rgba(0,0,0,.55)", 2.4], [colour, 0]]) {
    context.strokeStyle = ink;
    context.lineWidth = width + extra;
    context.beginPath();
    path();
    context.stroke();
  }
}

function dot(context, x, y, radius, colour) {
  context.beginPath();
  context.arc(x, y, radius, 0, 7);
  context.fillStyle = colour;
  context.fill();
  context.lineWidth = radius / 2.6;
  context.strokeStyle = "#fff";
  context.stroke();
}

function arrow(context, on, unit, mark, colour, past) {
  const [x0, y0, x1, y1] = [on(mark.x), on(mark.y), on(mark.x + mark.dx), on(mark.y + mark.dy)];
  if (mark.zoom) {
    zoom(context, x0, y0, unit, mark.log_expansion);
    return;
  }
  const angle = Math.atan2(y1 - y0, x1 - x0);
  const head = 9 * unit;
  context.setLineDash(past ? [5 * unit, 5 * unit] : []);
  stroke(context, colour, 2.6 * unit, () => { context.moveTo(x0, y0); context.lineTo(x1, y1); });
  context.setLineDash([]);
  if (Math.hypot(x1 - x0, y1 - y0) > head) {
    stroke(context, colour, 2.6 * unit, () => {
      for (const turn of [-0.5, 0.5]) {
        context.moveTo(x1, y1);
        context.lineTo(x1 - head * Math.cos(angle + turn), y1 - head * Math.sin(angle + turn));
      }
    });
  }
  dot(context, x0, y0, 5 * unit, colour);
  if (past && mark.report) {
    const [ax, ay] = mark.report.achieved;
    stroke(context, mark.report.reached ? INK.reached : INK.zoom, 2.2 * unit, () => context.arc(on(mark.x + ax), on(mark.y + ay), 6.5 * unit, 0, 7));
  }
}

function anchor(context, x, y, unit) {
  const r = 6 * unit;
  context.beginPath();
  context.roundRect(x - r, y - r, 2 * r, 2 * r, 3 * unit);
  context.fillStyle = INK.anchor;
  context.fill();
  context.lineWidth = 2 * unit;
  context.strokeStyle = "#fff";
  context.stroke();
  context.beginPath();
  for (const offset of [-0.3, 0.3]) { context.moveTo(x + offset * r, y - 0.42 * r); context.lineTo(x + offset * r, y + 0.42 * r); }
  context.stroke();
}

function zoom(context, x, y, unit, expansion) {
  const base = 16 * unit;
  stroke(context, "#ffffff", 1.4 * unit, () => context.arc(x, y, base, 0, 7));
  stroke(context, INK.zoom, 2.6 * unit, () => context.arc(x, y, base * Math.exp(-expansion), 0, 7));
  dot(context, x, y, 4 * unit, INK.zoom);
}

function ring(context, x, y, unit, radius) {
  context.setLineDash([6 * unit, 5 * unit]);
  stroke(context, "#ffffff", 1.6 * unit, () => context.arc(x, y, radius, 0, 7));
  context.setLineDash([]);
}

function cross(context, x, y, unit) {
  const r = 9 * unit;
  stroke(context, "#ffffff", 1.6 * unit, () => {
    context.moveTo(x - r, y); context.lineTo(x + r, y); context.moveTo(x, y - r); context.lineTo(x, y + r);
  });
}
