// The pointer, the wheel, fingers and the keyboard, as acts of the map.

const CLICK_PX = 4; // a press that moves less is no drag
const WHEEL_STEP = 60;

/** `acts`: zoom(steps, x, y), move(dx, dy), point(x, y), leave(), open(x, y, isTouch) in CSS pixels. */
export function listenToPointer(element, acts) {
  const fingers = new Map();
  let moved = 0;
  let apart = 0;
  let turned = 0;

  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    element.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, at(event));
    moved = 0;
    apart = distance(fingers);
  });
  element.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return acts.point(event.offsetX, event.offsetY);
    const now = at(event);
    fingers.set(event.pointerId, now);
    const [dx, dy] = [now.x - before.x, now.y - before.y];
    moved += Math.abs(dx) + Math.abs(dy);
    if (fingers.size === 2) apart = pinch(fingers, apart, acts);
    else if (moved > CLICK_PX) acts.move(dx, dy);
  });
  element.addEventListener("pointerup", (event) => {
    const wasOne = fingers.size === 1 && fingers.has(event.pointerId);
    fingers.delete(event.pointerId);
    if (wasOne && moved <= CLICK_PX) acts.open(event.offsetX, event.offsetY, event.pointerType === "touch");
  });
  element.addEventListener("pointercancel", (event) => fingers.delete(event.pointerId));
  element.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && acts.leave());
  // The page scrolls past the map; the wheel zooms once the map has the focus, or with Ctrl as on a pinch.
  element.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement !== element) return;
    event.preventDefault();
    turned += event.ctrlKey ? 4 * event.deltaY : event.deltaY;
    const steps = Math.trunc(turned / WHEEL_STEP);
    turned -= steps * WHEEL_STEP;
    if (steps) acts.zoom(-Math.sign(steps), event.offsetX, event.offsetY);
  }, { passive: false });
}

function at(event) {
  return { x: event.offsetX, y: event.offsetY };
}

function distance(fingers) {
  const [one, other] = fingers.values();
  return other ? Math.hypot(one.x - other.x, one.y - other.y) : 0;
}

/** Each doubling of the distance is a step. */
function pinch(fingers, apart, acts) {
  const [one, other] = fingers.values();
  const now = distance(fingers);
  const steps = Math.trunc(2 * Math.log2(now / apart));
  if (!steps) return apart;
  acts.zoom(Math.sign(steps), (one.x + other.x) / 2, (one.y + other.y) / 2);
  return now;
}

/** `acts` by the key's name; one that returns false leaves the key to the browser. */
export function listenToKeys(element, acts) {
  element.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = acts[event.key];
    if (act && act() !== false) event.preventDefault();
  });
}
