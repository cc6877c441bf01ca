// A switch that hides all code, remembered from page to page; and the still picture stands back where the explorer lives.
document.addEventListener("DOMContentLoaded", () => {
  if (!document.querySelector(".cell_input")) return;
  const button = document.createElement("button");
  const show = (hidden) => {
    document.body.classList.toggle("no-code", hidden);
    button.textContent = hidden ? "Show the code" : "Hide the code";
    button.setAttribute("aria-pressed", hidden);
    try { localStorage.setItem("no-code", hidden ? "1" : ""); } catch { /* opened from disk, with storage off */ }
  };
  let stored = null;
  try { stored = localStorage.getItem("no-code"); } catch { /* as above */ }
  button.className = "code-switch";
  button.type = "button";
  button.addEventListener("click", () => show(!document.body.classList.contains("no-code")));
  document.querySelector("article, main, body").append(button);
  show(Boolean(stored));
});

// What scrolls sideways can be scrolled with the keyboard.
function reachable() {
  for (const box of document.querySelectorAll("pre, table.docutils, .table-wrapper")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}
window.addEventListener("load", reachable);
window.addEventListener("resize", reachable);
