"use strict";
(() => {
  const root = document.getElementById("unetseg-viewer");
  const find = (selector) => root.querySelector(selector);
  const control = (name) => find(`[name="${name}"]`);
  const setup = JSON.parse(document.getElementById("viewer-setup").textContent);
  const SCAN = 0, PREDICTION = 1, REFERENCE = 2;
  const GREY = 105, FADED = 0.85;
  const GRID = 2, ROW = 3; // NiiVue's layouts of three slices
  const AXIS = { sagittal: 0, coronal: 1 }[setup.axis] ?? 2; // the coordinate (RAS) that changes from slice to slice
  const moved = (point, along) => point.map((mm, i) => (i === AXIS ? along : mm)); // a position in another slice
  let slices, surfaces, opening, edges, filled;

  // What the page holds compressed: base64 of gzip.
  const unpack = async (id) => {
    const packed = Uint8Array.from(atob(document.getElementById(id).textContent), (character) => character.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  };

  const loadLibrary = async () => {
    if (globalThis.niivue) return;
    const script = document.createElement("script");
    script.textContent = new TextDecoder().decode(await unpack("viewer-library"));
    document.head.append(script);
  };

  // Colours of all structures; those that were not chosen turn grey. A part of white distinguishes the reference from the prediction.
  const colors = (chosen, white) => {
    const toward = (color, end, share) => color.map((part) => Math.round(part + (end - part) * share));
    const mixed = setup.colors.map((color, i) =>
      chosen === 0 || chosen === i ? toward(color, 255, white) : toward(color, GREY, FADED));
    return {
      R: mixed.map((color) => color[0]), G: mixed.map((color) => color[1]), B: mixed.map((color) => color[2]),
      A: setup.names.map((_, i) => (i === 0 ? 0 : 255)), I: setup.names.map((_, i) => i), labels: setup.names,
    };
  };

  // Voxels with a neighbour of another label: an outline in every slice.
  const outline = (labels, [columns, rows, count]) => {
    const found = new labels.constructor(labels.length), plane = columns * rows;
    for (let z = 0, i = 0; z < count; z++) for (let y = 0; y < rows; y++) for (let x = 0; x < columns; x++, i++) {
      const own = labels[i];
      if (own && (x === 0 || y === 0 || x === columns - 1 || y === rows - 1 || labels[i - 1] !== own || labels[i + 1] !== own ||
          labels[i - columns] !== own || labels[i + columns] !== own || (z > 0 && labels[i - plane] !== own) ||
          (z < count - 1 && labels[i + plane] !== own))) found[i] = own;
    }
    return found;
  };

  const view = async (canvas, options) => {
    const made = new niivue.Niivue({
      backColor: [0, 0, 0, 1], fontColor: [1, 0.85, 0.2, 1], crosshairColor: [1, 0.85, 0.2, 0.8], crosshairWidth: 1, crosshairWidthUnit: "mm", dragAndDropEnabled: false, isColorbar: false,
      isNearestInterpolation: false, loadingText: "", logLevel: "error", viewModeHotKey: "", clipPlaneHotKey: "", showLegend: false,
      cycleClipPlaneHotKey: "", scrollRequiresFocus: true, isRadiologicalConvention: true, isSliceMM: true, ...options,
    });
    await made.attachToCanvas(canvas);
    return made;
  };

  const start = async () => {
    if (!document.createElement("canvas").getContext("webgl2")) {
      throw new Error("this browser has no WebGL2, so the viewer cannot be shown here; everything else of the report is here");
    }
    if (typeof DecompressionStream === "undefined") throw new Error("this browser is older than 2023; a newer one shows the viewer");
    await loadLibrary();
    const [scan, prediction, reference] = await Promise.all(["scan", "prediction", "reference"].map((name) => unpack(`viewer-${name}`)));
    find(".viewer-closed").hidden = true;
    find(".viewer-stage").hidden = false;
    const image = (bytes, name) => niivue.NVImage.new(bytes, `${name}.nii`, "gray", 1, null, ...(name === "scan" ? setup.window : []));
    const labels = async (bytes, name, white) => {
      const made = await image(bytes, name);
      made.setColormapLabel(colors(0, white));
      return made;
    };
    const narrow = find(".viewer-slices").clientWidth < 600;
    slices = await view(find(".viewer-slices"), { multiplanarForceRender: false, multiplanarShowRender: 0, multiplanarLayout: narrow ? GRID : ROW });
    slices.addVolume(await image(scan, "scan"));
    slices.addVolume(await labels(prediction, "prediction", 0));
    slices.addVolume(await labels(reference, "reference", 0.6));
    surfaces = [];
    for (const [name, bytes] of [["prediction", prediction], ["reference", reference]]) {
      const made = await view(find(`.viewer-${name}`), { sliceType: 4, show3Dcrosshair: true, isOrientCube: true });
      made.addVolume(await labels(bytes, name, 0));
      await made.setVolumeRenderIllumination(0.6);
      made.setRenderAzimuthElevation(170, 10);
      made.setScale(1.25);
      surfaces.push(made);
    }
    slices.broadcastTo(surfaces, { "2d": true, "3d": false });
    surfaces[0].broadcastTo([surfaces[1], slices], { "2d": true, "3d": true });
    surfaces[1].broadcastTo([surfaces[0], slices], { "2d": true, "3d": true });
    filled = slices.volumes[REFERENCE].img;
    edges = outline(filled, slices.volumes[REFERENCE].hdr.dims.slice(1, 4));
    prepareControls();
    slices.onLocationChange = showReading;
    show();
    goTo(worst());
  };

  const middle = () => Array.from(slices.frac2mm([0.5, 0.5, 0.5])).slice(0, 3);
  const position = () => Array.from(slices.frac2mm(slices.scene.crosshairPos)).slice(0, 3);

  const goTo = (mm) => {
    for (const each of [slices, ...surfaces]) {
      each.scene.crosshairPos = each.mm2frac(mm);
      each.drawScene();
    }
    slices.createOnLocationChange();
  };

  // Where something lies in the slice at this position: of the voxels that `wanted(prediction, reference)` picks, the one
  // nearest to their middle.
  const middleOf = (wanted, along) => {
    const ours = slices.volumes[PREDICTION].img, { dims, affine } = slices.volumes[SCAN].hdr;
    const step = Math.hypot(affine[0][AXIS], affine[1][AXIS], affine[2][AXIS]), found = [];
    for (let z = 0, i = 0; z < dims[3]; z++) for (let y = 0; y < dims[2]; y++) for (let x = 0; x < dims[1]; x++, i++) {
      if (!wanted(ours[i], filled[i])) continue;
      const point = affine.slice(0, 3).map((row) => row[0] * x + row[1] * y + row[2] * z + row[3]);
      if (Math.abs(point[AXIS] - along) <= 0.51 * step) found.push(moved(point, along));
    }
    if (!found.length) return moved(position(), along);
    const middle = [0, 1, 2].map((axis) => found.reduce((sum, point) => sum + point[axis], 0) / found.length);
    const away = (point) => Math.hypot(...point.map((mm, axis) => mm - middle[axis]));
    return found.reduce((best, point) => (away(point) < away(best) ? point : best));
  };

  // Where to begin: in the slice in which most is labelled differently.
  const worst = () => {
    const ours = slices.volumes[PREDICTION].img, { dims } = slices.volumes[SCAN].hdr, count = dims[AXIS + 1];
    const differing = new Array(count).fill(0), before = dims.slice(1, AXIS + 1).reduce((product, n) => product * n, 1);
    for (let i = 0; i < ours.length; i++) if (ours[i] !== filled[i]) differing[Math.floor(i / before) % count]++;
    const most = Math.max(...differing);
    if (!most) return middle();
    const at = moved([0.5, 0.5, 0.5], (differing.indexOf(most) + 0.5) / count);
    return middleOf((a, b) => a !== b, slices.frac2mm(at)[AXIS]);
  };

  const choose = (number) => {
    control("structure").value = String(number);
    control("error").disabled = !setup.positions[number];
    show();
  };

  const show = () => {
    const chosen = Number(control("structure").value), opacity = Number(control("opacity").value) / 100;
    const [scan, prediction, reference] = slices.volumes;
    const lined = control("outline").checked;
    scan.opacity = Number(control("scan").checked);
    prediction.opacity = control("prediction").checked ? opacity : 0;
    reference.opacity = control("reference").checked ? (lined ? 1 : opacity) : 0;
    reference.img = lined ? edges : filled;
    prediction.setColormapLabel(colors(chosen, 0));
    reference.setColormapLabel(colors(chosen, lined ? 0.6 : 0));
    for (const each of surfaces) each.volumes[0].setColormapLabel(colors(chosen, 0));
    for (const each of [slices, ...surfaces]) each.updateGLVolume();
  };

  const letters = ([x, y, z]) => [[x, "RL"], [y, "AP"], [z, "SI"]]
    .map(([mm, names]) => `${names[mm < 0 ? 1 : 0]} ${Math.abs(mm).toFixed(0)}`).join(", ");

  const value = (scan) => (setup.unit === "" ? `${Number(scan.toPrecision(4))}` : `${Math.round(scan)} HU`);

  const showReading = (location) => {
    const [hu, ours, theirs] = location.values.map((value) => value.value);
    const name = (value) => setup.names[Math.round(value)] || "nothing";
    const at = position();
    const truth = lookUp(theirs);
    find(".viewer-reading").textContent = `${letters(at)} mm: ${value(hu)}, prediction ${name(ours)}, reference ${name(truth)}`;
    control("slice").value = at[AXIS];
    control("slice").setAttribute("aria-valuetext", `${"RAS"[AXIS]} ${at[AXIS].toFixed(0)} mm`);
  };

  // The reference at the crosshair, also where only its outline is drawn.
  const lookUp = (shown) => {
    const volume = slices.volumes[REFERENCE], [, columns, rows] = volume.hdr.dims;
    const [x, y, z] = volume.mm2vox(position()).map(Math.round);
    return filled[x + columns * (y + rows * z)] ?? shown;
  };

  const prepareControls = () => {
    for (const name of ["scan", "prediction", "reference", "outline", "opacity"]) control(name).addEventListener("input", show);
    control("structure").addEventListener("input", (event) => choose(Number(event.target.value)));
    control("error").addEventListener("click", () => goTo(setup.positions[Number(control("structure").value)]));
    const ends = [0, 1].map((end) => slices.frac2mm(moved([0.5, 0.5, 0.5], end))[AXIS]);
    Object.assign(control("slice"), { min: Math.min(...ends), max: Math.max(...ends) });
    control("slice").step = Math.abs(ends[1] - ends[0]) / slices.volumes[SCAN].hdr.dims[AXIS + 1];
    control("slice").addEventListener("input", (event) => goTo(moved(position(), Number(event.target.value))));
  };

  const open = () => {
    if (!opening) {
      find(".viewer-open").disabled = true;
      find(".viewer-open").textContent = "Opening …";
      opening = start().then(() => root.dispatchEvent(new CustomEvent("unetseg:viewer", { bubbles: true })), (problem) => {
        find(".viewer-closed").hidden = true;
        find(".viewer-stage").hidden = true;
        find(".viewer-problem").hidden = false;
        find(".viewer-problem").textContent = `No viewer: ${problem.message}.`;
        throw problem;
      });
    }
    return opening;
  };

  const openAt = ({ structure }, where) => open().then(() => {
    const number = setup.names.indexOf(structure);
    if (number > 0) choose(number);
    goTo(where(number));
    root.scrollIntoView({ block: "nearest" });
  }, () => {});

  find(".viewer-open").addEventListener("click", () => open().catch(() => {}));
  document.addEventListener("unetseg:position", ({ detail }) => openAt(detail, () => detail.ras));
  document.addEventListener("unetseg:slice", ({ detail }) => openAt(detail, (number) =>
    middleOf((ours, theirs) => ours === number || theirs === number, detail.position_mm)));
})();
