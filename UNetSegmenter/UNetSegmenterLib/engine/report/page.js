"use strict";
(() => {
  document.documentElement.classList.add("js");

  // Sorting: numbers by data-v, words by their text; what wasn't measured stays at the end.
  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => {
      const head = button.closest("th");
      const body = head.closest("table").tBodies[0];
      const column = head.cellIndex;
      const start = head.dataset.first || "ascending";
      const now = head.getAttribute("aria-sort");
      const next = now ? (now === "ascending" ? "descending" : "ascending") : start;
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", next);
      const sign = next === "ascending" ? 1 : -1;
      const value = (row) => {
        const cell = row.cells[column]; // a row without measures has one wide cell instead
        return cell ? cell.dataset.v ?? cell.textContent.trim() : "";
      };
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === "" || y === "") return (x === "") - (y === "");
        const [n, m] = [Number(x), Number(y)];
        if (Number.isNaN(n) || Number.isNaN(m)) return sign * x.localeCompare(y, "en", { numeric: true });
        return n === m ? 0 : sign * (n < m ? -1 : 1);
      });
      body.append(...rows);
    });
  }

  // Definitions on hover and keyboard focus.
  const tip = Object.assign(document.createElement("div"), { className: "tip", hidden: true });
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  const showTip = (event) => {
    const target = event.target.closest("[data-tip]");
    tip.hidden = !target;
    if (!target) return;
    tip.textContent = target.dataset.tip;
    const box = target.getBoundingClientRect();
    const left = Math.min(Math.max(8, box.left + box.width / 2 - tip.offsetWidth / 2), innerWidth - tip.offsetWidth - 8);
    const above = box.top - tip.offsetHeight - 8;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > 8 ? above : box.bottom + 8}px`;
  };
  for (const target of document.querySelectorAll("[data-tip]")) target.setAttribute("aria-description", target.dataset.tip);
  document.addEventListener("mouseover", showTip);
  document.addEventListener("focusin", showTip);
  document.addEventListener("focusout", () => { tip.hidden = true; });
  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });

  // Slice curves: mouse, touch and arrow keys read one slice; a click asks the viewer to go there.
  for (const svg of document.querySelectorAll("svg.curve")) {
    const data = JSON.parse(svg.dataset.curve);
    const [kind, letter] = { coronal: ["Coronal slice", "A"], sagittal: ["Sagittal slice", "R"] }[data.axis] ?? ["Slice", "S"];
    const reading = svg.parentNode.querySelector(".reading");
    const resting = reading.textContent;
    const cross = svg.querySelector(".cross");
    const here = svg.querySelector(".here");
    let at = -1;
    // With the script it is a slider: a screen reader passes the arrow keys on and reads its value.
    for (const [name, value] of Object.entries({ role: "slider", "aria-valuemin": 0, "aria-valuemax": data.slice.length - 1,
      "aria-valuenow": data.worst, "aria-valuetext": resting })) svg.setAttribute(name, value);
    const show = (position) => {
      at = Math.max(0, Math.min(data.slice.length - 1, position));
      cross.setAttribute("x1", data.x[at]);
      cross.setAttribute("x2", data.x[at]);
      here.setAttribute("cx", data.x[at]);
      here.setAttribute("cy", data.y[at]);
      cross.style.visibility = here.style.visibility = "visible";
      const words = `${kind} ${data.slice[at]} (${letter} ${data.s[at].toFixed(1)} mm): Dice ${data.dice[at].toFixed(3)}, ` +
        `prediction ${data.ours[at].toFixed(1)} cm², reference ${data.theirs[at].toFixed(1)} cm²`;
      reading.textContent = words;
      svg.setAttribute("aria-valuenow", at);
      svg.setAttribute("aria-valuetext", words);
    };
    const rest = () => {
      cross.style.visibility = here.style.visibility = "hidden";
      reading.textContent = resting;
    };
    const announce = () => svg.dispatchEvent(new CustomEvent("unetseg:slice", {
      bubbles: true, detail: { structure: data.structure, slice: data.slice[at], position_mm: data.s[at] },
    }));
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const x = (event.clientX - box.left) * svg.viewBox.baseVal.width / box.width;
      let nearest = 0;
      data.x.forEach((value, i) => { if (Math.abs(value - x) < Math.abs(data.x[nearest] - x)) nearest = i; });
      show(nearest);
    });
    svg.addEventListener("pointerleave", () => { if (document.activeElement !== svg) rest(); });
    svg.addEventListener("click", announce);
    svg.addEventListener("focus", () => { if (at < 0) show(data.worst); else show(at); });
    svg.addEventListener("blur", rest);
    svg.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10 };
      if (event.key in steps) show(at + steps[event.key]);
      else if (event.key === "Home") show(0);
      else if (event.key === "End") show(data.slice.length - 1);
      else if (event.key === "w" || event.key === "W") show(data.worst);
      else if (event.key === "Enter") announce();
      else return;
      event.preventDefault();
    });
  }

  // Positions of findings: buttons where there is a viewer that can go there.
  if (document.querySelector(".viewer-stage")) {
    for (const where of document.querySelectorAll("[data-position]")) {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: where.textContent });
      button.setAttribute("aria-label", `Show in the viewer: ${where.textContent}`);
      button.addEventListener("click", () => button.dispatchEvent(new CustomEvent("unetseg:position", {
        bubbles: true, detail: { structure: where.dataset.structure, ras: where.dataset.position.split(" ").map(Number) },
      })));
      where.replaceChildren(button);
    }
  }

  // On paper nothing opens, so all findings are printed.
  const closed = () => [...document.querySelectorAll(".finding-group:not([open])")];
  let opened = [];
  addEventListener("beforeprint", () => { opened = closed(); for (const group of opened) group.open = true; });
  addEventListener("afterprint", () => { for (const group of opened) group.open = false; });

  // One measure of several at a time.
  for (const input of document.querySelectorAll(".choice input")) {
    const choose = () => {
      for (const chart of document.querySelectorAll("[data-measure]")) chart.hidden = chart.dataset.measure !== input.value;
    };
    input.addEventListener("change", choose);
    if (input.checked) choose();
  }

  // Pictures at full size.
  const dialog = document.querySelector("dialog");
  if (dialog) {
    for (const button of document.querySelectorAll(".pictures button")) {
      button.addEventListener("click", () => {
        const picture = button.querySelector("img");
        dialog.querySelector("img").src = picture.src;
        dialog.querySelector("img").alt = picture.alt;
        dialog.querySelector("p").textContent = picture.alt;
        dialog.showModal();
      });
    }
    dialog.addEventListener("click", () => dialog.close());
  }
})();
