(() => {
  "use strict";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const touch = matchMedia("(pointer: coarse)").matches;
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Data and captions come from the run; the colours of text, lines and ground from the reader's scheme.
  const colours = () => {
    const axis = { gridcolor: css("--line"), linecolor: css("--line"), zerolinecolor: css("--line"), automargin: true };
    return { ink: css("--ink"), quiet: css("--quiet"), ground: css("--ground"), axis };
  };
  const dressed = (layout) => {
    const { ink, quiet, ground, axis } = colours();
    return {
      ...layout,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: quiet },
      legend: { ...layout.legend, font: { color: ink } },
      hoverlabel: { bgcolor: ground, bordercolor: axis.linecolor, font: { color: ink } },
      dragmode: touch ? false : "zoom",
      xaxis: { ...axis, ...layout.xaxis },
      yaxis: { ...axis, ...layout.yaxis },
    };
  };
  const draw = () => {
    for (const figure of document.querySelectorAll("figure.chart")) {
      const { data, layout } = JSON.parse(figure.querySelector("script").textContent);
      Plotly.react(figure.querySelector(".plot"), data, dressed(layout), { responsive: true, displayModeBar: false });
    }
  };
  draw();
  dark.addEventListener("change", draw);
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((details) => { details.open = true; }));
})();
