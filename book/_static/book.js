// Names that screen readers say are the words that are seen; and a film that can be stopped, and stands still for those who ask for it.

function nameByWhatIsSeen() {
  document.querySelectorAll("[aria-label]").forEach((element) => {
    const seen = element.innerText?.trim().replace(/\s+/g, " ");
    const said = element.getAttribute("aria-label");
    if (seen && !said.toLowerCase().includes(seen.toLowerCase())) element.setAttribute("aria-label", `${seen}: ${said}`);
  });
}

function letStop(film) {
  const moving = film.src;
  const still = moving.replace(/[^/]*\.gif/, "") + "../_static/learning.png";
  const button = document.createElement("button");
  button.type = "button";
  button.className = "film-button";
  const show = (plays) => {
    film.src = plays ? moving : still;
    button.textContent = plays ? "Pause" : "Play";
  };
  button.addEventListener("click", () => show(button.textContent === "Play"));
  show(!window.matchMedia("(prefers-reduced-motion: reduce)").matches);
  film.after(button);
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll('img[src$="learning.gif"]').forEach(letStop);
  // the theme adds its buttons late
  nameByWhatIsSeen();
  window.addEventListener("load", () => setTimeout(nameByWhatIsSeen, 200));
});
