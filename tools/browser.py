"""Open every page of the built book in a headless browser and report what a reader would trip over.

    python tools/browser.py [--site _build/html] [--screenshots FOLDER] [PAGE ...]

Reported: console errors, failed requests, requests to anywhere but this machine, maths that was not rendered, images that
did not load or that have no alt text, what axe-core finds serious; and at each of four widths, what sticks out of its column
without a scroll bar, and figures whose smallest labels would be shown too small. Chromium is used where it is found, installed
where this may be done with apt; otherwise the check says that it was skipped.
"""

import argparse
import functools
import itertools
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import axe_playwright_python
from playwright.sync_api import sync_playwright

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")

BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]

# Waits until the page is done, then lists what is wrong with its maths and its images.
INSPECT = r"""async () => {
    if (window.MathJax?.startup) await MathJax.startup.promise;
    const found = [], article = document.querySelector("article") ?? document.body;
    for (const math of document.querySelectorAll(".math"))
        if (!math.querySelector("mjx-container")) found.push("maths not rendered: " + math.textContent.slice(0, 60));
    for (const red of document.querySelectorAll('mjx-mtext[style*="red"], mjx-merror'))
        found.push("error in maths: " + red.closest(".math, p, div").textContent.slice(0, 60));
    const words = article.cloneNode(true);
    words.querySelectorAll("pre, code, script, mjx-container").forEach(part => part.remove());
    const raw = words.textContent.match(/\\\(|\\\[|\\begin\{|\$\$|\$\\/);
    if (raw) found.push("raw maths in the text: " + words.textContent.slice(raw.index, raw.index + 60));
    for (const image of article.querySelectorAll("img")) {
        const name = image.getAttribute("src").slice(-60);
        image.loading = "eager";
        await image.decode().catch(() => found.push("image did not load: " + name));
        if (!image.alt || /\.(png|svg|jpe?g|gif|webp)$/i.test(image.alt)) found.push("image without alt text: " + name);
    }
    return found;
}"""


# What is cut off at the width that the window has now: wider than its column, and nothing around it scrolls. And figures: they are drawn
# at 220 dots per inch with labels of at least 8 points, which must come out at 9 pixels or more.
MEASURE = r"""() => {
    const found = [], article = document.querySelector("article") ?? document.body, width = window.innerWidth;
    const name = element => element.tagName.toLowerCase() + " '" + (element.alt ?? element.textContent).trim().slice(0, 40) + "'";
    const scrolls = element => ["auto", "scroll"].includes(getComputedStyle(element).overflowX);
    const column = article.getBoundingClientRect();
    if (document.scrollingElement.scrollWidth > width + 1) found.push("the page is wider than the window");
    for (const element of article.querySelectorAll("pre, table, img, p, li, blockquote, h1, h2, h3, mjx-container, div.cell, button")) {
        if (element.closest("mjx-assistive-mml, .sd-hide-title, .visually-hidden, details:not([open])") || !element.offsetParent) continue;
        let box = element.parentElement;
        while (box !== article && box && !scrolls(box)) box = box.parentElement;
        const right = element.getBoundingClientRect().right, inside = box !== article && box;
        if (right > column.right + 2 && !inside && !scrolls(element)) found.push("cut off: " + name(element));
        if (element.scrollWidth > element.clientWidth + 2 && element.clientWidth && getComputedStyle(element).overflowX === "hidden")
            found.push("hidden: " + name(element));
    }
    for (const image of article.querySelectorAll(".cell_output img")) {
        const label = 8 * 220 / 72 * image.clientWidth / image.naturalWidth;
        if (label < 9) found.push(`labels of ${label.toFixed(1)} px: ` + name(image));
    }
    return [...new Set(found)];
}"""
WIDTHS, BROWSERS_AT_ONCE = (390, 820, 1280, 1440), 2
SERIOUS = """async () => {
    const found = await axe.run(document, {resultTypes: ["violations"], preload: false});
    return found.violations.filter(found => ["serious", "critical"].includes(found.impact))
        .map(found => `${found.id} (${found.impact}), ${found.nodes.length} times, first: ${found.nodes[0].html.slice(0, 100)}`);
}"""


def installed() -> str | None:
    """The path of a Chromium that is here."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def find_browser() -> str | None:
    """The path of a Chromium, installed first where that is possible and allowed."""
    if installed() or not shutil.which("apt-get") or os.geteuid() != 0:
        return installed()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}}
    subprocess.run(["apt-get", "update"], **quiet)
    subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", "chromium"], **quiet)
    return installed()


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, *arguments):
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """A server that does not mind a browser hanging up."""

    def handle_error(self, request, client_address):
        """Say nothing."""


@contextmanager
def serve(folder: Path):
    """Serve `folder` on this machine only; gives the address."""
    with Server(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def watch(page, home: str) -> list[str]:
    """A list that fills up with the page's errors and bad requests."""
    found = []
    page.on("console", lambda message: message.type == "error" and found.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: found.append(f"script error: {error}"))
    page.on("requestfailed", lambda request: found.append(f"request failed: {request.url}"))
    page.on("request", lambda request: is_outside(request.url, home) and found.append(f"request to outside: {request.url}"))
    page.on("response", lambda response: response.status >= 400 and found.append(f"status {response.status}: {response.url}"))
    return found


def is_outside(url: str, home: str) -> bool:
    """Does this request leave the machine?"""
    return not url.startswith((home, "data:", "blob:"))


def settle(page, url: str) -> list[str]:
    """Open a page, follow where it redirects, wait until it is done; what is wrong with its maths and images."""
    page.goto(url)
    page.wait_for_load_state("networkidle")
    return page.evaluate(INSPECT)


def inspect(browser, home: str, name: str) -> list[str]:
    """All that is wrong with one page."""
    with browser.new_page() as page:
        found = watch(page, home)
        found += settle(page, home + name)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            found += [f"at {width}: {problem}" for problem in page.evaluate(MEASURE)]
        page.evaluate(AXE.read_text(encoding="utf8"))
        return found + [f"axe: {problem}" for problem in page.evaluate(SERIOUS)]


def photograph(browser, home: str, name: str, folder: Path) -> None:
    """Save the page as a reader sees it, at each width, in light and in dark."""
    for scheme, width in itertools.product(("light", "dark"), WIDTHS):
        with browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900}) as page:
            settle(page, home + name)
            stem = name.replace("/", "-").removesuffix(".html")
            page.screenshot(path=folder / f"{stem}-{width}-{scheme}.png", full_page=True)


def check(site: Path, executable: str, screenshots: Path | None = None, wanted: list[str] = ()) -> dict[str, list[str]]:
    """Every page of `site`, or those `wanted`, with what is wrong with it; two browsers share the work."""
    names = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html") if "_static" not in path.parts)
    names = [name for name in names if not wanted or Path(name).stem in wanted]

    def look_at(some):
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
            for name in some if screenshots else []:
                photograph(browser, home, name, screenshots)
            return {name: inspect(browser, home, name) for name in some}

    with serve(site) as home, ThreadPoolExecutor(BROWSERS_AT_ONCE) as threads:
        halves = [names[k::BROWSERS_AT_ONCE] for k in range(BROWSERS_AT_ONCE)]
        found = {name: problems for half in threads.map(look_at, halves) for name, problems in half.items()}
    return {name: found[name] for name in names}


def main() -> int:
    """The command line; 0 when all pages are fine or there is no browser."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--site", type=Path, default=Path("_build/html"))
    parser.add_argument("--screenshots", type=Path)
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="their names, without .html (default: all)")
    options = parser.parse_args()
    executable = find_browser()
    if executable is None:
        print("browser check SKIPPED: no Chromium found, and none could be installed")
        return 0
    pages = check(options.site, executable, options.screenshots, options.pages)
    lines = [f"{name}: {problem}" for name, problems in pages.items() for problem in problems]
    print("\n".join(lines) or f"{len(pages)} pages, nothing wrong")
    return 1 if lines or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
