"""What a process tells of the texts that it saw: lines of the log, and numbers for Prometheus."""

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from handler.events.dispatch import answer_event
from handler.events.resources import Resources
from handler.hosts.snapshot import prepare_snapshot
from handler.http.service import Service
from handler.inference.classifier import load_classifier
from handler.inference.exchange import Exchange
from handler.inference.models import Model, Models
from handler.inference.monitor import Monitor
from handler.inference.profile import Bins, Profile
from handler.inference.prometheus import OwnCounts, Prometheus
from handler.inference.watch import MAX_MODELS, PENDING, PERIOD_S, Watch, name_bins
from handler.settings import Settings, read_settings
from tests.helpers.fresh_python import run_python
from tests.helpers.http_service import caller
from tests.helpers.profiles import TEXTS, write_profiled_bundle


@pytest.fixture(scope="module")
def profiled(tiny_bundle, tmp_path_factory):
    return write_profiled_bundle(tiny_bundle, tmp_path_factory.mktemp("profiled") / "bundle")


@pytest.fixture(scope="module")
def classifier(profiled):
    return load_classifier(profiled)


class Process:
    """A monitor, what it wrote, and what answers events."""

    def __init__(self, classifier, every=100, prometheus=None, **how):
        self.lines = []
        self.monitor = Monitor(
            lambda line: self.lines.append(json.loads(line)),
            prometheus=prometheus,
            profile_every=every,
            **how,
        )
        self.models = Models([Model(classifier, monitor=self.monitor)])
        self.resources = Resources(self.models, Settings().events)

    def send(self, *texts):
        answer_event({"texts": list(texts)}, None, self.resources)

    def read_profiles(self):
        return [line for line in self.lines if line["message"] == "profile"]


def test_a_line_tells_what_so_many_texts_were_like(classifier):
    process = Process(classifier)

    for start in range(0, 100, 20):
        process.send(*TEXTS[start : start + 20])

    (line,) = process.read_profiles()
    assert (line["model"], line["version"], line["texts"], line["window"]) == (
        "tiny",
        "1",
        100,
        100,
    )
    assert line["bundle"] == classifier.bundle_sha256[:12]
    assert line["since"] <= line["until"] == line["timestamp"]
    assert (line["level"], line["drift"], line["drifted"]) == ("info", 0, [])
    assert line["histograms"]["label"] == [50, 50, 0, 0]
    assert line["bins"] == {"label": [*classifier.task.labels, "(other)", "(none)"]}
    assert {sum(counts) for counts in line["histograms"].values()} == {100}


def test_drift_is_a_warning_that_names_its_features(classifier):
    process = Process(classifier)

    process.send(*["плохой фильм"] * 100)

    (line,) = process.read_profiles()
    assert (line["level"], line["drift"]) == ("warning", 1)
    assert {"script", "unknown", "score"} <= set(line["drifted"])
    assert line["drift_psi"] > 1


def test_lines_of_few_texts_tell_drift_too(classifier):
    process = Process(classifier, every=20)

    for _ in range(8):
        process.send(*["плохой фильм"] * 20)

    told = [(line["texts"], line["window"], line["drift"]) for line in process.read_profiles()]
    assert told == [(20, 20, 0), (20, 40, 0), (20, 60, 1)] * 2 + [(20, 20, 0), (20, 40, 0)]


def test_no_text_stands_in_a_line(classifier):
    process = Process(classifier)

    process.send(*["Geheimnis verraten"] * 100)

    assert "eheim" not in json.dumps(process.lines)


def test_lines_of_one_process_add_up_to_all_texts(classifier):
    process = Process(classifier, every=70)

    for number in range(PENDING + 2):
        process.send(*TEXTS[: number % 7 + 1])
    process.monitor.finish()

    sent = sum(number % 7 + 1 for number in range(PENDING + 2))
    assert sum(line["texts"] for line in process.read_profiles()) == sent
    assert len(process.read_profiles()) > 1


def test_every_source_is_seen(classifier, tmp_path):
    process = Process(classifier)
    call = caller(Service(process.models, Settings()))

    call("POST", "/predict", {"text": "good film"})
    call("POST", "/v2/models/tiny/infer", infer("bad"))
    answer_event(["good", {"text": "bad film"}], None, process.resources)
    process.send("good")
    process.monitor.finish()

    (line,) = process.read_profiles()
    assert (line["texts"], line["histograms"]["label"]) == (5, [3, 2, 0, 0])


def infer(text):
    inputs = [{"name": "text", "datatype": "BYTES", "shape": [1], "data": [text]}]
    return {"inputs": inputs}


def test_a_model_without_a_profile_is_not_watched(tiny_classifier):
    process = Process(tiny_classifier, every=1)

    process.send("good", "bad")
    process.monitor.finish()

    assert process.read_profiles() == []


def test_nothing_is_kept_where_the_setting_says_so(classifier):
    process = Process(classifier, every=0)

    process.send(*TEXTS[:200])
    process.monitor.finish()

    assert process.read_profiles() == []


@pytest.mark.parametrize(("value", "every"), [("", 1000), ("0", 0), ("50", 50)])
def test_the_setting_is_a_number_of_texts(value, every):
    assert read_settings({"MINNOW_PROFILE_EVERY": value}).profile_every == every


def test_the_watch_is_not_imported_for_a_model_without_a_profile(tiny_bundle):
    program = (
        "import sys; from handler.function import handler; handler({'text': 'good'}, None);"
        "print([name for name in ('handler.inference.profile', 'handler.inference.watch',"
        " 'handler.inference.drift', 'handler.traces') if name in sys.modules])"
    )

    assert run_python(program, MINNOW_BUNDLE=str(tiny_bundle)).stdout == "[]\n"


def test_drift_is_a_metric_of_cloudwatch(classifier, monkeypatch):
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "reviews")
    process = Process(classifier, embeds_metrics=True)

    process.send(*["плохой фильм"] * 100)

    (line,) = process.read_profiles()
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Minnow"
    assert directive["Dimensions"] == [["function"], ["model", "version"]]
    names = [metric["Name"] for metric in directive["Metrics"]]
    assert {name: line[name] for name in names} == {"drift": 1, "drift_psi": line["drift_psi"]}
    assert (line["function"], line["model"], line["version"]) == ("reviews", "tiny", "1")
    assert line["_aws"]["Timestamp"] == int(line["until"] * 1000)


def test_too_few_texts_to_tell_are_no_metric_of_cloudwatch(classifier):
    process = Process(classifier, embeds_metrics=True)

    process.send("good film", "bad film")
    process.monitor.finish()

    (line,) = process.read_profiles()
    assert (line["texts"], line["timestamp"]) == (2, line["until"])
    assert "_aws" not in line


def test_prometheus_is_told_what_was_seen_and_what_was_expected(classifier):
    prometheus = Prometheus()
    process = Process(classifier, prometheus=prometheus)

    process.send(*["good film"] * 100)

    page = prometheus.render().decode().splitlines()
    of_label = 'model="tiny",version="1",feature="label"'
    assert f'minnow_profile_texts_total{{{of_label},bin="pos"}} 100' in page
    assert f'minnow_profile_expected_share{{{of_label},bin="pos"}} 0.5' in page
    assert f'minnow_profile_expected_share{{{of_label},bin="neg"}} 0.5' in page
    assert not any(f'texts_total{{{of_label},bin="neg"}}' in line for line in page)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def watch(classifier):
    clock, told = Clock(), []
    watch = Watch(10, told.append, clock=clock)
    watch.clock, watch.told = clock, told
    return watch


def see(watch, model, *texts):
    watched = watch.begin(model)
    watched.add(texts, model.classifier.predict(texts))
    return watched


def test_few_texts_are_told_after_a_while(watch, classifier):
    model = Model(classifier)

    see(watch, model, "good")
    watch.clock.now += PERIOD_S - 1
    watch.tell_if_due()
    assert watch.told == []
    watch.clock.now += 2
    watch.tell_if_due()
    watch.clock.now += 2 * PERIOD_S
    watch.tell_if_due()

    (line,) = watch.told
    assert (line["texts"], line["since"], line["until"]) == (1, 1000, 1000 + PERIOD_S + 1)


def test_a_clock_that_is_set_back_delays_nothing_for_long(watch, classifier):
    see(watch, Model(classifier), "good")

    watch.clock.now -= 10 * PERIOD_S
    watch.tell_if_due()

    (line,) = watch.told
    assert (line["texts"], line["since"], line["until"]) == (1, watch.clock.now, watch.clock.now)


@pytest.fixture
def impatient_threads():
    """Threads that take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_that_answer_at_once_lose_no_text(watch, classifier, impatient_threads):
    watched = watch.begin(Model(classifier))
    predictions = classifier.predict(TEXTS[:40])

    def answer(number):
        watched.add(TEXTS[:40], predictions)
        watch.tell(watched)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(answer, range(400)))
    watch.tell()

    assert sum(line["texts"] for line in watch.told) == 400 * 40
    for line in watch.told:
        assert {sum(counts) for counts in line["histograms"].values()} == {line["texts"]}


def test_of_threads_that_are_first_at_once_one_begins_the_watch(classifier, monkeypatch):
    process, made = Process(classifier), []

    class Slow(Watch):
        def __init__(self, *about):
            super().__init__(*about)
            if not made:
                made.append(self)
                process.send("good")  # as another thread would meanwhile

    monkeypatch.setattr("handler.inference.watch.Watch", Slow)
    process.send("bad", "bad")
    process.monitor.finish()

    assert sum(line["texts"] for line in process.read_profiles()) == 3


class OneAtATime(OwnCounts):
    """Numbers that no two threads may touch at once."""

    def __init__(self):
        super().__init__()
        self._touching = threading.Lock()

    def add(self, key, amount):
        with self._touch():
            super().add(key, amount)

    def read(self):
        with self._touch():
            return super().read()

    @contextmanager
    def _touch(self):
        assert self._touching.acquire(blocking=False)
        time.sleep(0.001)
        yield
        self._touching.release()


def test_numbers_for_prometheus_come_from_any_thread():
    prometheus = Prometheus(counts=OneAtATime())
    model = "tiny", "1"

    def tell(number):
        prometheus.expect(model, {("label", "pos"): 1})
        prometheus.count(Exchange(str(number), "predict"))
        prometheus.add_profile(model, {("label", "pos"): 1})
        prometheus.render()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(tell, range(20)))

    of_bin = '{model="tiny",version="1",feature="label",bin="pos"}'
    assert f"minnow_profile_texts_total{of_bin} 20" in prometheus.render().decode()


def test_a_label_that_is_called_as_a_bin_takes_no_text_from_it():
    profile = Profile(3, {"label": Bins(names=("(other)", "a"))}, {"label": (1, 0, 2, 0)})

    assert name_bins(profile, profile.counts) == {("label", "(other)"): 3}


def test_drift_is_measured_over_lines_of_few_texts(watch, classifier):
    model = Model(classifier)

    for _ in range(3):
        see(watch, model, "good", "bad")
        watch.tell()

    assert [(line["texts"], line["window"]) for line in watch.told] == [(2, 2), (2, 4), (2, 6)]


def test_of_many_models_the_oldest_is_told_and_dropped(watch, classifier):
    models = [Model(classifier) for _ in range(MAX_MODELS + 1)]
    for number, model in enumerate(models):
        model.name = f"model{number}"

    watched = [see(watch, model, "good") for model in models]

    assert [line["model"] for line in watch.told] == ["model0"]
    assert [one.is_open for one in watched] == [False] + [True] * MAX_MODELS


def test_a_model_that_is_loaded_again_goes_on(watch, classifier):
    see(watch, Model(classifier), "good")
    see(watch, Model(classifier), "bad")
    watch.tell()

    assert [line["texts"] for line in watch.told] == [2]


def test_a_snapshot_holds_nothing_of_what_was_seen(classifier, monkeypatch):
    process = Process(classifier)
    monkeypatch.setattr("handler.http.app.create_app", lambda service: None)
    process.send("good")

    prepare_snapshot(process.models, lambda event, context: process.send("golden"))
    process.send("bad", "bad")
    process.monitor.finish()

    assert [line["histograms"]["label"] for line in process.read_profiles()] == [[0, 2, 0, 0]]
