// Chooses a class of a map by keys: arrows go through those that are there, Enter uses one.

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

// `labels()` is the map, `show(label)` highlights a class, or none if -1, and `use(label)` takes it.
export function chooseByKeys(element, labels, show, use) {
  let aimed = -1;
  element.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    const there = [...new Set(labels() ?? [])].sort((a, b) => a - b);
    if (!there.length) return;
    if (step) {
      const i = there.indexOf(aimed);
      aimed = there[i < 0 ? (step > 0 ? 0 : there.length - 1) : (i + step + there.length) % there.length];
      show(aimed);
    } else if ((event.key === "Enter" || event.key === " ") && there.includes(aimed)) use(aimed);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  element.addEventListener("blur", () => {
    aimed = -1;
    show(-1);
  });
}
