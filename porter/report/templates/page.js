(() => {
  "use strict";
  const fit = () => {
    try {
      if (window.frameElement) frameElement.style.height = document.documentElement.offsetHeight + "px";
    } catch (error) { /* a frame of another origin keeps its height */ }
  };
  const copy = async (button) => {
    const code = button.parentElement.querySelector("pre");
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch (error) {
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  };
  for (const button of document.querySelectorAll("button.copy")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => { each.open = true; }));
  document.addEventListener("toggle", fit, true);
  addEventListener("resize", fit);
  addEventListener("load", fit);
})();
