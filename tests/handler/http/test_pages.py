"""The pages, in a real headless Chromium, where one is installed (`tests/helpers/browser.py`)."""

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from handler.http.formats.pages import STATIC
from handler.inference.classifier import load_classifier
from handler.inference.manifest import Card
from tests.helpers.browser import find_browser, type_text
from tests.helpers.http_service import Server, make_service
from tests.helpers.multi_label import copy_bundle
from tests.helpers.number_bundles import write_ordinal, write_regression

pytestmark = pytest.mark.slow
WAIT_S = 20


@pytest.fixture(scope="module")
def chromium():
    browser, chromedriver = find_browser()
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    # Root has no sandbox, a container no shared memory; nothing but our own server is opened.
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(chromedriver)
    driver = webdriver.Chrome(options, service)
    yield driver
    driver.quit()


@pytest.fixture
def page(chromium, server):
    return open_page(chromium, server.url + "/")


def open_page(chromium, url):
    chromium.get_log("browser")
    chromium.get(url)
    return chromium


def wait(chromium, condition):
    WebDriverWait(chromium, WAIT_S).until(lambda driver: condition())


def find(chromium, selector):
    return chromium.find_elements(By.CSS_SELECTOR, selector)


def classify(chromium, text):
    field = chromium.find_element(By.ID, "text")
    type_text(chromium, field, text)
    field.send_keys(Keys.CONTROL, Keys.ENTER)
    wait(chromium, lambda: chromium.find_element(By.ID, "winner").is_displayed())


def test_a_typed_text_gets_its_label_bar_words_and_latency(page):
    field = page.switch_to.active_element  # the cursor waits in the field
    field.send_keys("a good film, not bad bad bad")
    find(page, "#go")[0].click()
    wait(page, lambda: page.find_element(By.ID, "winner").is_displayed())

    assert find(page, "#winner")[0].text == "neg, 98.2 %"
    bars = find(page, "#scores progress")
    assert [float(bar.get_attribute("value")) for bar in bars] == [
        pytest.approx(0.982, abs=1e-3),
        pytest.approx(0.018, abs=1e-3),
    ]
    marks = [
        (m.text, m.get_attribute("class"), "background" in m.get_attribute("style"))
        for m in find(page, "#words mark")
    ]
    assert marks[1] == ("good", "against", False)
    assert marks[2] == ("film", "faint", False)
    assert marks[5] == ("bad", "", True)
    assert find(page, "#words")[0].text == "a good film, not bad bad bad"
    assert re.fullmatch(r"\d+(\.\d)? ms in the server · \d+ ms there and back", notes(page))


def notes(page):
    return find(page, "#notes")[0].text


def test_an_example_is_classified_at_a_click(page):
    wait(page, lambda: find(page, ".example"))
    example = find(page, ".example")[0]
    example.click()
    wait(page, lambda: page.find_element(By.ID, "winner").is_displayed())

    assert page.find_element(By.ID, "text").get_attribute("value") == example.text
    assert example.text in find(page, "#snippet")[0].text


def test_examples_are_the_models_own_where_its_card_has_some(chromium, make_service, monkeypatch):
    service = make_service()
    card = Card(examples=("a good film", "<b>bad</b>", "a" * 101))
    manifest = service.models.default.manifest._replace(card=card)
    monkeypatch.setattr(service.models.default, "manifest", manifest)
    with Server(service) as server:
        page = open_page(chromium, server.url + "/")
        wait(page, lambda: find(page, ".example"))

        shown = [button.text for button in find(page, ".example")]
    assert shown == ["a good film", "<b>bad</b>"]  # the third is over the limit


def show(page, scores, **fields):
    """Show an answer of these scores as if the server had given it."""
    wait(page, lambda: find(page, "#card dd"))
    label = max(scores, key=scores.get)
    prediction = {"label": label, "score": scores[label], "scores": scores, "known_tokens": 3}
    script = "show('a text', arguments[0], {ms: 12.3, serverMs: null})"
    page.execute_script(script, prediction | fields)


def test_many_labels_are_folded_behind_a_button(page):
    show(page, {f"label {index}": 0.6 / (index + 1) ** 2 for index in range(20)})
    rows = find(page, ".score > :first-child")
    shown = [row.text for row in rows if row.is_displayed()]
    more = find(page, "#more")[0]
    text = more.text
    more.click()

    assert shown == [f"label {index}" for index in range(5)]
    assert text == "Show all 20 labels"
    assert all(row.is_displayed() for row in rows)
    assert not more.is_displayed()
    assert notes(page) == "12 ms there and back"


def test_few_labels_are_all_shown_and_their_bars_begin_at_one_place(page):
    show(
        page, {"a label of many letters": 0.5, "b": 0.3, "c": 0.1, "d": 0.05, "e": 0.03, "f": 0.02}
    )
    bars = find(page, "#scores progress")

    assert len(bars) == 6
    assert all(bar.is_displayed() for bar in bars)
    assert len({bar.rect["x"] for bar in bars}) == 1
    weights = [row.value_of_css_property("font-weight") for row in find(page, ".score")]
    assert weights == ["700"] + ["400"] * 5
    assert not find(page, "#more")[0].is_displayed()


@pytest.mark.parametrize(
    ("scores", "winner"),
    [
        ({"pos": 0.59, "neg": 0.41}, "Not sure: pos, 59.0 %"),
        ({"pos": 0.61, "neg": 0.39}, "pos, 61.0 %"),
        ({"a": 0.49, "b": 0.26, "c": 0.25}, "Not sure: a, 49.0 %"),
        ({"a": 0.51, "b": 0.25, "c": 0.24}, "a, 51.0 %"),
    ],
)
def test_a_likely_label_is_not_a_sure_one(page, scores, winner):
    show(page, scores)

    assert find(page, "#winner")[0].text == winner


@pytest.mark.parametrize(("width", "is_shown"), [(1200, True), (390, False)])
def test_keys_that_a_phone_lacks_are_not_named_there(page, width, is_shown):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    assert find(page, "#hint")[0].is_displayed() == is_shown
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def read_card(page):
    wait(page, lambda: find(page, "#card dd"))
    names = [element.text for element in find(page, "#card dt")]
    return dict(zip(names, [element.text for element in find(page, "#card dd")], strict=True))


def test_the_model_card_leaves_out_what_the_manifest_does_not_hold(page, tiny_classifier):
    assert read_card(page) == {
        "Tells apart": "pos, neg",
        "Accuracy": "right for 100.0 %",
        "Size": "0.00 MB, 32-bit weights",
        "Reads": "up to 8 tokens (words and signs) of a text",
        "Takes": "up to 4 texts a request, 100 characters a text, 0.10 MB in all; "
        "explains 8 tokens a request",
        "Version": f"1, sha256 {tiny_classifier.model_sha256[:12]}",
    }
    assert find(page, "#summary")[0].text == ""
    assert page.title == "Minnow: tiny"


def test_the_model_card_is_edited_for_people(chromium, make_service, monkeypatch):
    service = make_service()
    figures = {"rows": 25_000, "accuracy": 0.83844, "macro_f1": 0.8383}
    manifest = service.models.default.manifest._replace(
        metrics={"bundle": figures, "keras": {"test": {**figures, "accuracy": 0.8385}}},
        provenance={
            "recipe": "stacked",
            "settings": {"epochs": 3, "vocab_size": 20_000},
            "data": {"train": {"path": "train.csv.gz", "rows": 25_000}},
            "versions": {"minnow-maas": "0.1.0", "keras": "3.15.1"},
        },
        card=Card(
            summary="Is a film review for or against?",
            terms="Apache-2.0",
            intended_use="English reviews",
            known_failures=("irony", "<b>another</b> language"),
        ),
    )
    monkeypatch.setattr(service.models.default, "manifest", manifest)
    with Server(service) as server:
        page = open_page(chromium, server.url + "/")
        card = read_card(page)

        assert find(page, "#summary")[0].text == "Is a film review for or against?"
    assert card["Accuracy"] == (
        "right for 83.8 % of 25,000 test texts that it had not learned from, macro F1 0.838, "
        "83.9 % before compression"
    )
    assert card["Learned from"] == "train: 25,000 texts of train.csv.gz"
    assert card["Trained by"] == (
        "recipe “stacked”, 3 epochs at most, 20,000 words at most, Minnow 0.1.0, Keras 3.15.1"
    )
    assert card["Meant for"] == "English reviews"
    assert card["Known failures"].splitlines() == ["irony", "<b>another</b> language"]
    assert card["Terms"] == "Apache-2.0"


def test_a_refusal_is_shown_in_the_servers_words(page):
    wait(page, lambda: find(page, "#card dd"))
    page.execute_script("document.getElementById('text').removeAttribute('maxlength')")
    field = page.find_element(By.ID, "text")
    field.send_keys("a" * 101, Keys.CONTROL, Keys.ENTER)
    wait(page, lambda: find(page, "#problem")[0].text)

    assert find(page, "#problem")[0].text == "text has 101 characters, the limit is 100"
    assert not find(page, "#result")[0].is_displayed()


def test_html_in_a_text_stays_text(page):
    classify(page, '<img src=x onerror="document.title=1"> & good')

    assert find(page, "#words img") == []
    assert find(page, "#words")[0].text.startswith('<img src=x onerror="document.title=1">')


def test_an_unknown_text_is_said_to_be_unknown(page):
    classify(page, "🙂 電影")

    assert "no word of it is known" in notes(page)
    assert find(page, "#winner")[0].text.startswith("Not sure: ")


def test_snippets_hold_the_text_and_go_by_arrow_keys(page):
    classify(page, "it's good")
    curl = find(page, "#snippet")[0].text
    find(page, "#tab-curl")[0].click()
    page.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)

    assert "it'\\''s good" in curl
    assert page.switch_to.active_element.get_attribute("id") == "tab-Python"
    assert "urllib.request" in find(page, "#snippet")[0].text


def test_every_control_is_reached_by_the_tab_key(page):
    reached = []
    wait(page, lambda: find(page, ".example"))
    for _ in range(8):
        reached.append(page.switch_to.active_element.get_attribute("id"))
        page.switch_to.active_element.send_keys(Keys.TAB)

    assert reached == ["text", "go", "", "", "", "tab-curl", "snippet", "copy"]  # "": examples


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1200])
def test_the_page_fits_the_screen_and_is_readable(page, scheme, width):
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    classify(page, "a good film, not bad bad bad " + "verylongword" * 5)

    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    contrasts = page.execute_script(CONTRAST_SCRIPT)
    assert contrasts
    assert min(contrasts) >= 4.5  # WCAG 2.2 AA for text of normal size
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


CONTRAST_SCRIPT = """
const luminance = (colour) => {
  const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (; element; element = element.parentElement) {
    const colour = getComputedStyle(element).backgroundColor;
    if (!colour.startsWith("rgba(0, 0, 0, 0")) return colour;
  }
};
return [...document.querySelectorAll("h1, h2, p, a, label, button, dt, dd, pre, textarea")]
  .filter((element) => element.checkVisibility() && element.textContent.trim())
  .map((element) => {
    const pair = [getComputedStyle(element).color, behind(element)].map(luminance);
    return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
  });
"""


@pytest.mark.parametrize(("path", "ready"), [("/", "#card dd"), ("/docs", ".opblock")])
def test_a_page_asks_nobody_else_and_breaks_no_policy(chromium, server, path, ready):
    page = open_page(chromium, server.url + path)
    wait(page, lambda: find(page, ready))

    asked = page.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert asked
    assert all(address.startswith((server.url, "data:")) for address in asked)
    assert [entry["message"] for entry in page.get_log("browser")] == []


def test_docs_show_every_operation_and_try_one_out(chromium, server):
    page = open_page(chromium, server.url + "/docs")
    wait(page, lambda: find(page, "#operations-Minnow-predict"))
    find(page, "#operations-Minnow-predict button")[0].click()
    wait(page, lambda: find(page, ".try-out__btn"))
    find(page, ".try-out__btn")[0].click()
    wait(page, lambda: find(page, ".execute"))
    find(page, ".execute")[0].click()
    wait(page, lambda: find(page, ".live-responses-table"))

    assert '"label": "pos"' in find(page, ".live-responses-table")[0].text
    document = httpx.get(server.url + "/openapi.json").json()
    operations = [name for path in document["paths"].values() for name in path]
    assert len(find(page, ".opblock")) == len(operations) > 20


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_docs_follow_the_screen_fold_the_schemas_and_lead_back(chromium, server, scheme):
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    page = open_page(chromium, server.url + "/docs")
    wait(page, lambda: find(page, ".models"))
    back = page.execute_script("return getComputedStyle(document.body).backgroundColor")

    assert back == ("rgb(28, 32, 34)" if scheme == "dark" else "rgb(255, 255, 255)")
    assert find(page, ".models.is-open") == []
    assert find(page, ".model-box") == []
    find(page, "#back")[0].click()
    wait(page, lambda: find(page, "#text"))
    assert page.current_url == server.url + "/"
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_key_is_asked_for_where_keys_are_set(chromium, make_service):
    keys = {"me": hashlib.sha256(b"secret-key").hexdigest()}
    with Server(make_service(api_keys=keys)) as server:
        page = open_page(chromium, server.url + "/")
        wait(page, lambda: page.find_element(By.ID, "key").is_displayed())
        page.find_element(By.ID, "key").send_keys("secret-key", Keys.TAB)
        wait(page, lambda: find(page, "#card dd"))
        classify(page, "good")

        assert find(page, "#winner")[0].text.startswith("pos")


def test_the_pages_name_no_outside_address():
    for path in STATIC.glob("*.html"):
        assert "http" not in path.read_text().replace("http-equiv", "")


FETCH = """
const [url, done] = arguments;
const read = (mode) => fetch(url, {mode}).then((r) => r.text().then((t) => t.length), String);
read('cors').then((allowed) => read('no-cors').then((embedded) => done([allowed, embedded])));
"""


def test_an_allowed_origin_reads_across_and_nobody_embeds(chromium, make_service):
    # `Cross-Origin-Resource-Policy` is of no-cors requests: what an <img> or a <script> sends.
    other = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    threading.Thread(target=other.serve_forever).start()
    origin = f"http://127.0.0.1:{other.server_port}"
    try:
        with Server(make_service(cors_origins=(origin,))) as server:
            page = open_page(chromium, origin)
            address = server.url.replace("127.0.0.1", "localhost") + "/health"
            allowed, embedded = page.execute_async_script(FETCH, address)
    finally:
        other.shutdown()
        other.server_close()

    assert allowed > 0
    assert embedded == "TypeError: Failed to fetch"


@pytest.mark.parametrize(
    ("write", "winner", "num_bars", "title", "told"),
    [
        (write_regression, "2, from -0.5 to 4.5", 0, "+2", "Tells a number"),
        (write_ordinal, "1, 88.1 %", 2, "38.1 points", "Tells, in this order"),
    ],
)
def test_numbers_and_ordered_labels_are_shown(
    chromium, tmp_path, write, winner, num_bars, title, told
):
    with Server(make_service(load_classifier(write(tmp_path)))) as server:
        page = open_page(chromium, server.url + "/")
        wait(page, lambda: find(page, "#card dt"))
        classify(page, "good film")

        assert find(page, "#winner")[0].text == winner
        assert len(find(page, "#scores progress")) == num_bars
        assert find(page, "#words mark")[0].get_attribute("title") == title
        assert told in [term.text for term in find(page, "#card dt")]
        assert [line for line in page.get_log("browser") if line["level"] == "SEVERE"] == []
        page.save_screenshot(str(tmp_path / "page.png"))


def test_all_labels_over_their_thresholds_are_shown(chromium, tiny_bundle, tmp_path):
    bundle = copy_bundle(tiny_bundle, tmp_path / "tiny")
    with Server(make_service(load_classifier(bundle))) as server:
        page = open_page(chromium, server.url + "/")
        wait(page, lambda: find(page, "#card dd"))
        classify(page, "a good film")
        both = find(page, "#winner")[0].text, len(find(page, ".score.best"))
        classify(page, "bad bad bad")
        wait(page, lambda: find(page, "#winner")[0].text == "neg")
        one = len(find(page, ".score.best"))
        about = [term.text for term in find(page, "#card dd")]

    assert both == ("pos, neg", 2)
    assert one == 1
    assert "pos, neg" in about
