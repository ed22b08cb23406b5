/* Draws a monitoring page from its figures and asks for them again; a click on a chart leads to the records behind it. */
(() => {
  "use strict";
  /* After so long nobody may be looking any more: the page stops and says so. */
  const MOST_S = 3600;
  const TONES = ["good", "warn", "bad", "mute"];
  const root = document.getElementById("watching");
  const freshness = document.getElementById("freshness");
  const pause = document.getElementById("pause");
  let figures = JSON.parse(document.getElementById("figures").textContent);
  const drawn = new Map();
  let rounds = 0;
  let failures = 0;
  let paused = false;
  let timer = 0;

  /* Words --------------------------------------------------------------------------------------------- */
  const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
  const two = (number) => String(number).padStart(2, "0");
  function moment(iso) {
    const at = new Date(iso);
    const clock = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
    return figures.period === "week" ? `${DAYS[at.getUTCDay()]} ${clock}` : clock;
  }
  function rounded(value) {
    const digits = value === 0 || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
    return Math.abs(value) > 0 && Math.abs(value) < 0.01
      ? value.toPrecision(1)
      : value.toLocaleString("en", { maximumFractionDigits: digits });
  }
  function scaled(value, steps) {
    const [size, unit] = steps.find(([size]) => Math.abs(value) >= size) || steps[steps.length - 1];
    return `${rounded(value / size)} ${unit}`;
  }
  const UNITS = {
    "": (value) => (Math.abs(value) >= 1e5 ? scaled(value, [[1e6, "M"], [1e3, "k"]]) : rounded(value)),
    ms: (value) => scaled(value, [[60000, "min"], [1000, "s"], [0, "ms"]].map(([s, u]) => [s || 1, u])),
    s: (value) => scaled(value, [[3600, "h"], [60, "min"], [1, "s"], [0.001, "ms"]]),
    bytes: (value) => scaled(value, [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"], [1, "B"]]),
    share: (value) => `${rounded(100 * value)} %`,
    rate: (value) => `${rounded(value)}/s`,
    cores: (value) => rounded(value),
  };
  const written = (unit, value) => (value === null || value === undefined ? "–" : UNITS[unit](value));
  const name = (chart, place) => (chart.is_time ? moment(chart.labels[place]) : chart.labels[place]);

  /* Elements ------------------------------------------------------------------------------------------ */
  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (value !== "" && value !== null && value !== undefined) made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }
  function address(conditions) {
    const all = { ...figures.conditions, ...figures.time, ...conditions };
    const query = new URLSearchParams();
    for (const [key, value] of Object.entries(all)) if (value !== "") query.set(key, value);
    return `${figures.records}?${query}`;
  }
  const behind = (chart, series, place) =>
    series.conditions === null ? "" : address({ ...chart.points[place], ...series.conditions });

  /* Colours ------------------------------------------------------------------------------------------- */
  const variable = (key) => getComputedStyle(document.documentElement).getPropertyValue(key).trim();
  const colour = (series, place) =>
    variable(TONES.includes(series.colour) ? `--sb-t-${series.colour}` : `--sb-${series.colour || `c${(place % 8) + 1}`}`);

  /* Charts -------------------------------------------------------------------------------------------- */
  function dataset(chart, series, place) {
    const painted = colour(series, place);
    const line = chart.kind === "lines";
    return {
      label: series.name,
      data: series.values,
      borderColor: painted,
      backgroundColor: line ? `${painted}1f` : painted,
      borderWidth: line ? 2 : 0,
      borderDash: series.is_dashed ? [5, 4] : [],
      pointRadius: line ? lonely(series.values) : 0,
      pointBackgroundColor: painted,
      pointHitRadius: 12,
      pointHoverRadius: 4,
      tension: 0.25,
      cubicInterpolationMode: "monotone",
      spanGaps: false,
      fill: line && chart.series.length === 1 ? "origin" : false,
      borderRadius: chart.is_stacked ? 0 : 2,
      categoryPercentage: chart.is_time ? 0.92 : 0.8,
      barPercentage: chart.is_time ? 0.95 : 0.9,
      maxBarThickness: chart.is_time ? undefined : 56,
    };
  }
  /* A point between two gaps has no line: it is drawn as a dot. */
  const lonely = (values) =>
    values.map((value, at) => (value !== null && (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null ? 2.5 : 0));
  function options(chart) {
    const ink = variable("--sb-mute");
    const stacked = chart.is_stacked;
    return {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      interaction: { mode: chart.kind === "lines" ? "index" : stacked ? "index" : "nearest", intersect: false },
      onClick: (event, _, self) => follow(chart, event, self),
      onHover: (event, found) => {
        event.native.target.style.cursor = found.some((one) => chart.series[one.datasetIndex].conditions !== null) ? "pointer" : "";
      },
      plugins: {
        legend: {
          display: chart.series.length > 1 || stacked,
          position: "bottom",
          labels: { boxWidth: chart.kind === "lines" ? 18 : 10, boxHeight: 8, color: ink, padding: 12, usePointStyle: true, pointStyle: chart.kind === "lines" ? "line" : "rectRounded" },
        },
        tooltip: {
          callbacks: {
            title: (items) => (items.length ? name(chart, items[0].dataIndex) + (chart.is_time ? " UTC" : "") : ""),
            label: (item) => ` ${item.dataset.label}: ${written(chart.unit, item.raw)}`,
          },
        },
      },
      scales: {
        x: { stacked, border: { color: variable("--sb-grid") }, grid: { display: false }, ticks: { color: ink, maxRotation: 0, autoSkip: true, autoSkipPadding: 18, maxTicksLimit: chart.is_time ? 9 : 40 } },
        y: { stacked, beginAtZero: true, border: { display: false }, grid: { color: variable("--sb-grid") }, ticks: { color: ink, maxTicksLimit: 6, callback: (value) => written(chart.unit, value) } },
      },
    };
  }
  function follow(chart, event, self) {
    const [exact] = self.getElementsAtEventForMode(event, "nearest", { intersect: true }, true);
    const [near] = self.getElementsAtEventForMode(event, "index", { intersect: false }, true);
    const found = exact || near;
    if (!found) return;
    const target = behind(chart, chart.series[found.datasetIndex], found.index);
    if (target) window.location.assign(target);
  }
  function data(chart) {
    return { labels: chart.labels.map((_, place) => name(chart, place)), datasets: chart.series.map((series, place) => dataset(chart, series, place)) };
  }

  function frame(chart) {
    const canvas = element("canvas", { role: "img", "data-chart": chart.key });
    const box = element("div", { class: "sb-canvas" }, canvas);
    const table = element("div", { class: "sb-scroll", tabindex: "0", role: "region", "aria-label": `${chart.title}: numbers` });
    const details = element("details", {}, element("summary", {}, "Numbers as a table"), table);
    const card = element(
      "section",
      { class: `sb-card sb-chart${chart.is_wide ? " wide" : ""}`, id: `chart-${chart.key}`, "aria-label": chart.title },
      element("h2", {}, chart.title),
      element("p", { class: "sb-label" }, chart.says),
      box,
      details,
    );
    const held = { card, canvas, box, table, details, chart, picture: null };
    details.addEventListener("toggle", () => fill(held));
    return held;
  }
  function draw(held, chart) {
    held.chart = chart;
    held.canvas.setAttribute("aria-label", `${chart.title}. ${chart.says} ${summary(chart)}`);
    held.canvas.dataset.points = chart.series.reduce((sum, series) => sum + series.values.filter((value) => value !== null && value !== 0).length, 0);
    held.box.querySelector(".sb-empty")?.remove();
    held.canvas.hidden = chart.is_empty;
    if (chart.is_empty) {
      held.picture?.destroy();
      held.picture = null;
      held.box.append(element("div", { class: "sb-empty" }, chart.empty));
    } else if (held.picture) {
      held.picture.data = data(chart);
      held.picture.options = options(chart);
      held.picture.update();
    } else {
      held.picture = new Chart(held.canvas, { type: chart.kind === "lines" ? "line" : "bar", data: data(chart), options: options(chart) });
    }
    fill(held);
  }
  function summary(chart) {
    if (chart.is_empty) return chart.empty;
    const parts = chart.series.map((series) => {
      const values = series.values.filter((value) => value !== null);
      return `${series.name}: at most ${written(chart.unit, values.length ? Math.max(...values) : null)}`;
    });
    return `${parts.join("; ")}. The numbers stand in the table below.`;
  }
  /* The table is made when it is opened: most people never do. */
  function fill(held) {
    if (!held.details.open) return;
    const { chart } = held;
    const head = element("tr", {}, element("th", { scope: "col" }, chart.is_time ? "Time (UTC)" : ""));
    for (const series of chart.series) head.append(element("th", { scope: "col", class: "sb-num" }, series.name));
    const body = element("tbody");
    chart.labels.forEach((_, place) => {
      const row = element("tr", {}, element("th", { scope: "row" }, name(chart, place)));
      for (const series of chart.series) {
        const value = series.values[place];
        const text = written(chart.unit, value);
        const where = value ? behind(chart, series, place) : "";
        row.append(element("td", { class: "sb-num" }, where ? element("a", { class: "sb-link", href: where }, text) : text));
      }
      body.append(row);
    });
    held.table.replaceChildren(element("table", { class: "sb-table" }, element("thead", {}, head), body));
  }

  /* Cards and tables ---------------------------------------------------------------------------------- */
  function card(shown) {
    return element(
      shown.link ? "a" : "div",
      { class: `sb-card ${shown.tone}`, href: shown.link },
      element("div", { class: "sb-label" }, shown.title),
      element("div", { class: "sb-figure" }, shown.figure),
      element("div", { class: "sb-label" }, shown.says),
    );
  }
  function cell(shown) {
    const where = shown.link || (shown.conditions ? address(shown.conditions) : "");
    const badge = { good: "success", warn: "warning", bad: "danger", mute: "mute" }[shown.tone];
    let inner = badge ? element("span", { class: `sb-badge ${badge}` }, shown.text) : shown.text;
    if (where) inner = element("a", { class: "sb-link", href: where }, inner);
    return element("td", { class: shown.is_number ? "sb-num" : shown.is_long ? "sb-long" : "" }, inner);
  }
  function table(shown) {
    const head = element("tr");
    shown.columns.forEach((column, place) => {
      const numbers = shown.rows.length && shown.rows[0][place].is_number;
      head.append(element("th", { scope: "col", class: numbers ? "sb-num" : "" }, column));
    });
    const rows = shown.rows.map((row) => element("tr", {}, ...row.map(cell)));
    const content = rows.length
      ? element("div", { class: "sb-scroll" }, element("table", { class: "sb-table" }, element("thead", {}, head), element("tbody", {}, ...rows)))
      : element("p", { class: "sb-label" }, shown.empty);
    const children = [element("h2", {}, shown.title)];
    if (shown.says) children.push(element("p", { class: "sb-label" }, shown.says));
    return element("section", { class: `sb-card sb-list${shown.is_wide ? " wide" : ""}`, id: `table-${shown.key}`, "aria-label": shown.title }, ...children, content);
  }

  /* The page ------------------------------------------------------------------------------------------ */
  const parts = { notes: element("div"), cards: element("div", { class: "sb-cards" }), charts: element("div", { class: "sb-charts" }), tables: element("div", { class: "sb-charts sb-tables" }) };
  function show() {
    parts.notes.replaceChildren(...figures.notes.map((note) => element("div", { class: "sb-note", role: "status" }, note)));
    parts.cards.replaceChildren(...figures.cards.map(card));
    const kept = new Set(figures.charts.map((chart) => chart.key));
    for (const [key, held] of drawn) {
      if (!kept.has(key)) {
        held.picture?.destroy();
        held.card.remove();
        drawn.delete(key);
      }
    }
    for (const chart of figures.charts) {
      if (!drawn.has(chart.key)) drawn.set(chart.key, frame(chart));
      const held = drawn.get(chart.key);
      parts.charts.append(held.card);
      draw(held, chart);
    }
    parts.tables.replaceChildren(...figures.tables.map(table));
    root.dataset.drawn = String(rounds);
  }
  function tell() {
    const at = new Date();
    const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
    freshness.textContent = `${clock} · every ${figures.refresh_s} s`;
  }
  async function refresh() {
    try {
      const answer = await fetch(root.dataset.source, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(15000) });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      figures = await answer.json();
      failures = 0;
      rounds += 1;
      show();
      tell();
    } catch (fault) {
      failures += 1;
      freshness.textContent = `No answer (${fault.message}); trying again`;
    }
    plan();
  }
  /* One request at a time; slower after failures; none while nobody sees the page, nor without end. */
  function plan() {
    clearTimeout(timer);
    if (rounds * figures.refresh_s >= MOST_S) stop("Stopped after a while");
    if (paused || document.hidden) return;
    timer = setTimeout(refresh, figures.refresh_s * 1000 * Math.min(8, 2 ** failures));
  }
  function stop(why) {
    paused = true;
    freshness.textContent = why;
    pause.textContent = "Go on";
    pause.setAttribute("aria-pressed", "true");
  }
  pause.addEventListener("click", () => {
    if (!paused) return stop("Paused");
    paused = false;
    rounds = 0;
    pause.textContent = "Pause";
    pause.setAttribute("aria-pressed", "false");
    return refresh();
  });
  document.addEventListener("visibilitychange", plan);

  const filters = document.getElementById("filters");
  filters?.addEventListener("change", (event) => {
    if (event.target.name === "project") filters.model.value = "";
    if (event.target.name !== "period" && event.target.name !== "version") filters.version.value = "";
    filters.requestSubmit();
  });
  new MutationObserver(() => drawn.forEach((held) => draw(held, held.chart))).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });

  Chart.defaults.font.family = "Inter, sans-serif";
  Chart.defaults.font.size = 11;
  root.classList.add("sb-watched");
  root.append(parts.notes, parts.cards, parts.charts, parts.tables);
  show();
  tell();
  plan();
})();
