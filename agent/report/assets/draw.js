"use strict";
// Draws the interactive charts over the static ones, when they come into view, in the colors of the page's theme.
(() => {
  const figures = JSON.parse(document.getElementById("chart-figures").textContent);
  const role = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const resolved = (value) => {
    if (typeof value === "string") {
      const variable = /^var\(--([a-z]+)\)$/.exec(value);
      return variable ? role(variable[1]) : value;
    }
    if (Array.isArray(value)) return value.map(resolved);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, resolved(each)]));
    }
    return value;
  };
  const draw = (place) => {
    const { data, layout } = resolved(figures[place.dataset.chart]);
    place.closest("figure").classList.add("drawn"); // which gives the place its size
    const narrow = place.clientWidth < 480;
    const axis = { gridcolor: role("grid"), linecolor: role("muted"), zeroline: false, tickfont: { color: role("muted") } };
    const short = (name) => (narrow && name.length > 18 ? `${name.slice(0, 17)}…` : name);
    const titled = (own) => ({
      ...axis, ...own, ...(own.ticktext && { ticktext: own.ticktext.map(short) }), fixedrange: narrow, title: { ...own.title, font: { color: role("muted"), size: 13 }, standoff: 8 },
    });
    const font = getComputedStyle(document.body).fontFamily;
    Plotly.react(place, data, {
      ...layout,
      xaxis: titled(layout.xaxis),
      yaxis: titled(layout.yaxis),
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: font, size: 13, color: role("ink") },
      margin: { l: 56, r: 16, t: 16, b: 48 },
      legend: { orientation: "h", x: 0, y: 1.04, yanchor: "bottom", traceorder: "normal" },
      hoverlabel: { bgcolor: role("paper"), bordercolor: role("muted"), font: { color: role("ink") } },
      hovermode: "closest",
      dragmode: narrow ? false : "zoom",
    }, { responsive: true, displayModeBar: false, displaylogo: false });
  };
  const drawn = new Set();
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      const place = target.querySelector("[data-chart]");
      if (!isIntersecting || drawn.has(place)) continue;
      drawn.add(place);
      draw(place);
    }
  }, { rootMargin: "600px" });
  document.querySelectorAll("figure.chart").forEach((each) => seen.observe(each));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.forEach(draw));
})();
