# SPDX-License-Identifier: Apache-2.0
"""The contract of Seldon's Python wrapper, as hythe.seldon keeps it around a user's object.

A stand-in takes the place of the library's call: it tells what was decoded and keeps what was replied.
"""
import json
import re
import sys

import numpy as np
import pytest

from hythe import compat, loading, parameters, seldon, usermetrics  # noqa: E402

compat.add_path()

from seldon_core.flask_utils import SeldonMicroserviceException  # noqa: E402
from seldon_core.metrics import create_counter, create_gauge, create_timer  # noqa: E402
from seldon_core.user_model import SeldonComponent, SeldonNotImplementedError, SeldonResponse  # noqa: E402

T, N, TF, BIN, TEXT, JSON = seldon.TENSOR, seldon.NDARRAY, seldon.TFTENSOR, seldon.BINARY, seldon.TEXT, seldon.JSON


class Call:
    """One request as the library hands it over."""

    id = "request-1"

    def __init__(self, *payloads, method=seldon.PREDICT, is_grpc=False, is_seldon=True, raw=b"{}", reward=0.0, routing=None):
        self.payloads, self.method, self.is_grpc, self.is_seldon, self.raw = payloads, method, is_grpc, is_seldon, raw
        self.reward, self.routing, self.count = reward, routing, len(payloads)
        self.answers = []

    def payload(self, i):
        return self.payloads[i]

    def reply(self, value, names=None, meta=None, like=0):
        self.answers.append(("value", value, names, meta, like))

    def reply_raw(self, message, status=0):
        self.answers.append(("raw", message, status))

    def reply_error(self, status, reason, code, message):
        self.answers.append(("error", status, reason, code, message))

    def reply_undefined(self):
        self.answers.append(("undefined",))

    @property
    def answer(self):
        assert len(self.answers) == 1, self.answers
        return self.answers[0]

    @property
    def value(self):
        assert self.answer[0] == "value", self.answer
        return self.answer[1]

    @property
    def names(self):
        return self.answer[2]

    @property
    def meta(self):
        return self.answer[3]

    @property
    def body(self):
        assert self.answer[0] == "raw", self.answer
        return json.loads(self.answer[1])


def array(rows=((1, 2), (3, 4)), names=("a", "b"), meta=None, kind=N):
    return kind, np.array(rows), list(names), meta


def answer(component, call):
    """What the extension does: an exception is an answer too."""
    try:
        component.call(call)
    except BaseException as error:
        chooses = isinstance(getattr(error, "reason", None), str)
        status, reason = (error.status_code, error.reason) if chooses else (500, "MICROSERVICE_INTERNAL_ERROR")
        call.reply_error(status, reason, -1, str(error) or getattr(error, "message", type(error).__name__))
    return call


def ask(user, *payloads, **keywords):
    return answer(seldon.Component(user), Call(*(payloads or (array(),)), **keywords))


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("PREDICTIVE_UNIT_ID", "PREDICTIVE_UNIT_IMAGE", "MODEL_METADATA", "INCLUDE_METRICS_IN_CLIENT_RESPONSE", "PAYLOAD_PASSTHROUGH",
                 "SELDON_DEPLOYMENT_ID", "PREDICTOR_ID", "PREDICTOR_LABELS", "SELDON_EXECUTOR_ENABLED"):
        monkeypatch.delenv(name, raising=False)


# ---- predict ----


class Plain:
    def predict(self, X, names):
        return X * 2


class WithMeta:
    def predict(self, X, names, meta=None):
        return {"names": names, "meta": meta}


def test_predict_is_given_the_array_and_names():
    call = ask(Plain())
    assert call.value.tolist() == [[2, 4], [6, 8]] and call.names == ["t:0", "t:1"] and call.meta is None and call.answer[4] == N


def test_meta_is_given_to_a_method_that_takes_it():
    assert ask(WithMeta(), array(meta={"puid": "p"})).value == {"names": ["a", "b"], "meta": {"puid": "p"}}


def test_absent_meta_is_none_over_rest_and_empty_over_grpc():
    assert ask(WithMeta()).value["meta"] is None
    assert ask(WithMeta(), is_grpc=True).value["meta"] == {}


def test_a_type_error_of_the_users_code_is_not_a_second_call():
    calls = []

    class Broken:
        def predict(self, X, names, meta=None):
            calls.append(meta)
            raise TypeError("of the model's own")

    assert ask(Broken()).answer == ("error", 500, "MICROSERVICE_INTERNAL_ERROR", -1, "of the model's own")
    assert len(calls) == 1


def test_predict_may_take_only_the_array():
    class OnlyX:
        def predict(self, X):
            return X.sum(axis=1)

    call = ask(OnlyX())
    assert call.value.tolist() == [3, 7] and call.names == []


def test_predict_may_take_anything():
    class Any:
        def predict(self, *args, **kwargs):
            return {"args": len(args), "kwargs": sorted(kwargs)}

    assert ask(Any()).value == {"args": 2, "kwargs": ["meta"]}


def test_a_builtin_without_a_signature_is_tried_with_meta_and_without():
    tried = []

    class Compiled:
        __signature__ = "none that can be read"

        def __call__(self, X, names, **keywords):
            tried.append(sorted(keywords))
            if keywords:
                raise TypeError("no such argument")
            return X

    class Holder:
        predict = Compiled()

    assert ask(Holder()).value.shape == (2, 2) and tried == [["meta"], []]


@pytest.mark.parametrize("result", ["text", b"bytes", {"a": 1}, [1, 2], [[1, 2]], bytearray(b"x")])
def test_what_the_wrapper_takes_is_replied(result):
    class Says:
        def predict(self, X, names):
            return result

    assert ask(Says()).value == result


@pytest.mark.parametrize("result", [None, 3, 2.5, (1, 2), object])
def test_what_the_wrapper_refuses_is_refused(result):
    class Says:
        def predict(self, X, names):
            return result

    kind, status, reason, code, message = ask(Says()).answer
    assert (kind, status, reason, code) == ("error", 400, "MICROSERVICE_BAD_DATA", -1)
    assert message == "Unknown data type returned as payload (must be list or np array):%s" % (result,)


def test_numbers_of_numpy_and_frames_are_left_to_the_library():
    pandas = pytest.importorskip("pandas")

    class Number:
        def predict(self, X, names):
            return X.sum()

    class Frame:
        def predict(self, X, names):
            return pandas.DataFrame(X, columns=["p", "q"])

    class Named(Frame):
        def class_names(self):
            return ["c", "d"]

    assert ask(Number()).value == 10 and ask(Frame()).names is None and ask(Named()).names == ["c", "d"]


def test_a_list_of_lists_gets_names_and_a_flat_one_none():
    class Nested:
        def predict(self, X, names):
            return [[1, 2, 3]]

    class Flat:
        def predict(self, X, names):
            return ["a", "b"]

    assert ask(Nested()).names == ["t:0", "t:1", "t:2"] and ask(Flat()).names == []


def test_no_predict_is_an_empty_answer_and_no_transformer_the_question():
    class Nothing:
        pass

    call = ask(Nothing(), array(meta={"requestPath": {"z": "i"}}))
    assert call.value == [] and call.names == [] and call.meta == {"requestPath": {"z": "i"}} and call.answer[4] == N
    call = ask(Nothing(), method=seldon.TRANSFORM_OUTPUT)
    assert call.value.tolist() == [[1, 2], [3, 4]] and call.names == ["t:0", "t:1"]
    assert ask(Nothing(), (seldon.NOTHING, None, [], None)).answer[:2] == ("error", 400)


def test_no_predict_but_tags_is_an_empty_answer_with_tags():
    class Tagged:
        def tags(self):
            return {"t": 1}

    call = ask(Tagged())
    assert call.value == [] and call.names == [] and call.meta == {"tags": {"t": 1}}


def test_a_message_without_data_is_refused_with_its_text():
    call = ask(Plain(), (seldon.NOTHING, None, [], None), raw=b'{"meta":{},"x":1}')
    assert call.answer[1:] == (400, "MICROSERVICE_BAD_DATA", -1, "Invalid request data type: {'meta': {}, 'x': 1}")


def test_an_error_in_decoding_is_answered():
    class Ragged(Call):
        def payload(self, i):
            raise ValueError("inhomogeneous shape")

    assert answer(seldon.Component(Plain()), Ragged()).answer == ("error", 500, "MICROSERVICE_INTERNAL_ERROR", -1, "inhomogeneous shape")


# ---- errors ----


def test_the_users_exception_chooses_status_and_reason():
    class Refuses:
        def predict(self, X, names):
            raise SeldonMicroserviceException("no such customer", status_code=404, reason="NO_CUSTOMER")

    assert ask(Refuses()).answer == ("error", 404, "NO_CUSTOMER", -1, "no such customer")


def test_an_exception_of_another_seldon_core_is_understood():
    class SeldonMicroserviceException(Exception):  # noqa: F811
        def __init__(self, message):
            Exception.__init__(self)
            self.message, self.status_code, self.reason = message, 422, "MINE"

    class Refuses:
        def predict(self, X, names):
            raise SeldonMicroserviceException("of the real package")

    assert ask(Refuses()).answer == ("error", 422, "MINE", -1, "of the real package")


def test_sys_exit_does_not_leave_a_client_without_an_answer():
    class Leaves:
        def predict(self, X, names):
            sys.exit("gone")

    assert ask(Leaves()).answer == ("error", 500, "MICROSERVICE_INTERNAL_ERROR", -1, "gone")


def test_error_pages_of_a_blueprint_are_the_answer_over_rest():
    flask = pytest.importorskip("flask")

    class Handled:
        model_error_handler = flask.Blueprint("error_handlers", __name__)

        def predict(self, X, names):
            raise KeyError("customer")

    @Handled.model_error_handler.app_errorhandler(KeyError)
    def page(error):
        return flask.jsonify({"missing": error.args[0]}), 402

    call = ask(Handled())
    assert call.body == {"missing": "customer"} and call.answer[2] == 402
    assert ask(Handled(), is_grpc=True).answer[0] == "error"


# ---- names, tags, metrics, response ----


def test_class_names_may_be_a_method_or_an_attribute(caplog):
    class Method(Plain):
        def class_names(self):
            return np.array(["no", "yes"])

    class Attribute(Plain):
        class_names = ["no", "yes"]

    assert ask(Method()).names == ["no", "yes"] == ask(Attribute()).names
    assert caplog.text.count("class_names attribute is deprecated") == 1


def test_class_names_are_for_two_dimensions():
    class Flat:
        def predict(self, X, names):
            return X[:, 0]

        def class_names(self):
            return ["c"]

    assert ask(Flat()).names == []


def test_tags_of_request_object_and_response_are_merged_in_this_order():
    class Tagged:
        def predict(self, X, names):
            return SeldonResponse(X, tags={"c": 3, "b": 3})

        def tags(self):
            return {"b": 2, "a": 2}

    call = ask(Tagged(), array(meta={"tags": {"a": 1, "z": 1}, "puid": "p", "routing": {"r": 1}}))
    assert call.meta == {"tags": {"z": 1, "a": 2, "b": 3, "c": 3}, "puid": "p"}


def test_metrics_follow_those_of_the_request_and_are_counted():
    class Measured:
        def predict(self, X, names):
            return SeldonResponse(X, metrics=[create_gauge("g", 5)])

        def metrics(self):
            return [create_counter("c", 1), {**create_timer("t", 20), "tags": {"l": "v"}}]

    component, call = seldon.Component(Measured()), Call(array(meta={"metrics": [{"key": "old", "type": "GAUGE", "value": 1}]}))
    component.call(call)
    assert [m["key"] for m in call.meta["metrics"]] == ["old", "c", "t", "g"]
    assert call.meta["metrics"][2]["tags"] == {"l": "v", "method": "predict"}
    text = component.metrics.text()
    assert re.search(r'^c_total\{method="predict",.*deployment_name="NOT_IMPLEMENTED".*worker_id="\d+"\} 1\.0$', text, re.M)
    assert re.search(r'^g\{.*\} 5\.0$', text, re.M) and re.search(r'^t_sum\{l="v",.*\} 0\.02$', text, re.M)
    assert "old" not in text


def test_metrics_stay_out_of_the_answer_when_told_so(monkeypatch):
    monkeypatch.setenv("INCLUDE_METRICS_IN_CLIENT_RESPONSE", "false")

    class Measured(Plain):
        def metrics(self):
            return [create_counter("c", 1)]

    component, call = seldon.Component(Measured()), Call(array())
    component.call(call)
    assert call.meta is None and "c_total" in component.metrics.text()


@pytest.mark.parametrize("metrics", [[{"key": "k"}], [{"key": "k", "type": "COUNTER", "value": "x"}], [{"key": "k", "type": "X", "value": 1}], {"a": 1}, [3]])
def test_bad_metrics_are_an_error(metrics):
    class Measured(Plain):
        def metrics(self):
            return metrics

    assert ask(Measured()).answer == ("error", 500, "MICROSERVICE_BAD_METRIC", -1, "Bad metric created during request: " + json.dumps(metrics))


def test_the_path_of_the_request_starts_with_this_unit(monkeypatch):
    monkeypatch.setenv("PREDICTIVE_UNIT_ID", "unit")
    monkeypatch.setenv("PREDICTIVE_UNIT_IMAGE", "image:1")
    assert ask(Plain(), array(meta={"requestPath": {"before": "b:2"}})).meta == {"requestPath": {"unit": "image:1", "before": "b:2"}}


def test_a_response_of_another_seldon_core_is_understood():
    class SeldonResponse:  # noqa: F811
        def __init__(self, data, tags, metrics):
            self.data, self.tags, self.metrics = data, tags, metrics

    class Says:
        def predict(self, X, names):
            return SeldonResponse(X, {"t": 1}, [])

    assert ask(Says()).meta == {"tags": {"t": 1}}


# ---- SeldonComponent ----


class Derived(SeldonComponent):
    def predict(self, X, names, meta=None):
        return X


def test_inherited_methods_are_absent_ones():
    assert ask(Derived()).value.shape == (2, 2)
    assert ask(SeldonComponent()).value == []
    assert ask(Derived(), method=seldon.TRANSFORM_INPUT).value.shape == (2, 2)
    assert ask(Derived(), method=seldon.HEALTH).value == "not implemented - assuming healthy"
    assert ask(Derived(), method=seldon.ROUTE).answer[1:] == (400, "MICROSERVICE_BAD_DATA", -1, "route is not implemented")


def test_not_implemented_at_run_time_is_absent_as_well():
    class Lazy:
        def predict_raw(self, msg):
            raise SeldonNotImplementedError("raw")

        def predict(self, X, names):
            raise SeldonNotImplementedError("no")

        def tags(self):
            raise SeldonNotImplementedError("no")

        def transform_input(self, X, names):
            raise SeldonNotImplementedError("no")

    assert ask(Lazy()).value == []
    assert ask(Lazy(), method=seldon.TRANSFORM_INPUT).value.tolist() == [[1, 2], [3, 4]]


# ---- transformers, route, aggregate, feedback ----


@pytest.mark.parametrize("method, name", [(seldon.TRANSFORM_INPUT, "transform_input"), (seldon.TRANSFORM_OUTPUT, "transform_output")])
def test_transformers_are_called_like_predict(method, name):
    class Adds:
        pass

    setattr(Adds, name, lambda self, X, names, meta=None: X + 1)
    call = ask(Adds(), array(meta={"tags": {"a": 1}}), method=method)
    assert call.value.tolist() == [[2, 3], [4, 5]] and call.names == ["t:0", "t:1"] and call.meta == {"tags": {"a": 1}}


@pytest.mark.parametrize("branch", [1, np.int64(1), np.int8(1), True, SeldonResponse(1, tags={"r": 2})])
def test_route_answers_one_integer_and_loses_the_tags_of_the_request(branch):
    class Routes:
        def route(self, X, names):
            return branch

    call = ask(Routes(), array(meta={"tags": {"a": 1}, "puid": "p"}), method=seldon.ROUTE)
    assert call.value == [[1]] and type(call.value[0][0]) is int and call.names == ["t:0"]
    assert call.meta == {"puid": "p", **({"tags": {"r": 2}} if isinstance(branch, SeldonResponse) else {})}


@pytest.mark.parametrize("branch", ["a", 1.0, None, np.float32(1), np.array([1])])
def test_a_route_that_is_no_integer_is_refused(branch):
    class Routes:
        def route(self, X, names):
            return branch

    assert ask(Routes(), method=seldon.ROUTE).answer == ("error", 400, "MICROSERVICE_BAD_DATA", -1, "Routing response must be int but got %s" % (branch,))


def test_absent_route_and_aggregate_are_left_to_the_library():
    assert ask(Plain(), method=seldon.ROUTE).answer == ("undefined",) == ask(Plain(), method=seldon.AGGREGATE).answer


def test_aggregate_is_given_all_and_merges_their_meta():
    class Means:
        def aggregate(self, values, names):
            assert names == [["a", "b"], ["c"]]
            return np.mean([v.mean() for v in values]).reshape(1, 1)

    first = array(meta={"tags": {"a": 1, "b": 1}, "puid": "p", "requestPath": {"x": "1"}, "metrics": [1]})
    second = array(((1,),), ("c",), {"tags": {"b": 2}, "puid": "q", "requestPath": {"y": "2"}, "metrics": [2]}, T)
    call = ask(Means(), first, second, method=seldon.AGGREGATE)
    assert call.value.tolist() == [[1.75]] and call.answer[4] == N
    assert call.meta == {"tags": {"a": 1, "b": 2}, "puid": "p", "requestPath": {"x": "1", "y": "2"}, "metrics": [1, 2]}


NOTHING = (seldon.NOTHING, None, [], None)


def test_feedback_is_given_reward_truth_and_routing():
    got = []

    class Learns:
        def send_feedback(self, X, names, reward, truth, routing=None):
            got.append((X.tolist(), names, reward, truth.tolist(), routing))

    component = seldon.Component(Learns())
    call = Call(array(), NOTHING, array(((1,),), ()), method=seldon.FEEDBACK, reward=0.5, routing=3)
    component.call(call)
    assert got == [([[1, 2], [3, 4]], ["a", "b"], 0.5, [[1]], 3)] and call.value == [] and call.answer[4] == N
    text = component.metrics.text()
    assert re.search(r'^seldon_api_model_feedback_total\{method="feedback".*\} 1\.0$', text, re.M)
    assert re.search(r'^seldon_api_model_feedback_reward_total\{.*\} 0\.5$', text, re.M)


def test_feedback_without_routing_in_its_signature_is_called_without_it():
    class Learns:
        def send_feedback(self, X, names, reward, truth):
            return [truth.size]

    assert ask(Learns(), array(), NOTHING, NOTHING, method=seldon.FEEDBACK, routing=1).value == [0]


def test_feedback_of_a_unit_without_a_name_goes_by_zero(monkeypatch):
    class Learns:
        def send_feedback(self, X, names, reward, truth, routing=None):
            return [routing]

    response = (seldon.NOTHING, None, [], {"routing": {"0": 3, "unit": 4}})
    assert ask(Learns(), array(), response, NOTHING, method=seldon.FEEDBACK).value == [3]
    monkeypatch.setenv("PREDICTIVE_UNIT_ID", "other")
    assert ask(Learns(), array(), response, NOTHING, method=seldon.FEEDBACK).value == [None]


def test_an_empty_message_among_several_is_told():
    class Joins:
        def aggregate(self, values, names):
            return values

    call = ask(Joins(), array(), NOTHING, method=seldon.AGGREGATE, raw=b'{"seldonMessages":[{"strData":"x"},{"y":1}]}')
    assert call.answer[4] == "Invalid request data type: {'y': 1}"


def test_feedback_without_reward_counts_nothing():
    component = seldon.Component(Plain())
    call = Call(array(), NOTHING, NOTHING, method=seldon.FEEDBACK)
    component.call(call)
    assert call.value == [] and component.metrics.text() == ""


# ---- health, metadata, metrics ----


def test_health_is_healthy_unless_the_object_says_otherwise():
    class Ill:
        def health_status(self):
            return [1, 2]

        def metrics(self):
            return [create_counter("c", 1)]

    assert ask(Plain(), method=seldon.HEALTH).value == "healthy"
    call = ask(Ill(), method=seldon.HEALTH)
    assert call.value == [1, 2] and call.answer[4] == seldon.NOTHING and call.meta["metrics"][0]["key"] == "c"


def test_raw_health_is_sent_as_it_is():
    class Raw:
        def health_status_raw(self):
            return {"strData": "well"}

    assert ask(Raw(), method=seldon.HEALTH).body == {"strData": "well"}


def test_metadata_has_defaults():
    call = ask(Plain(), method=seldon.METADATA)
    assert call.value == {"name": "", "versions": [""], "platform": "", "inputs": [], "outputs": [], "custom": {}} and call.answer[4] == JSON


def test_metadata_of_the_class_is_overridden_by_the_environment(monkeypatch):
    class Told(Plain):
        def init_metadata(self):
            return {"name": "n", "platform": "p", "inputs": [{"messagetype": "tensor", "schema": {"names": ["a"], "shape": [1]}}],
                    "outputs": [{"name": "o", "datatype": "FP32", "shape": [-1, 2]}]}

    monkeypatch.setenv("MODEL_METADATA", '{"platform": "q", "custom": {"a": "b"}}')
    monkeypatch.setenv("PREDICTIVE_UNIT_IMAGE", "registry:5000/image:7")
    value = ask(Told(), method=seldon.METADATA).value
    assert (value["name"], value["platform"], value["versions"], value["custom"]) == ("n", "q", ["7"], {"a": "b"})


@pytest.mark.parametrize("bad", [{"versions": "1"}, {"inputs": [{"messagetype": "tensor", "x": 1}]}, {"custom": {"a": 1}}, {"more": 1},
                                 {"outputs": [{"datatype": "float"}]}, {"inputs": [{"messagetype": "strData", "schema": {}}]}])
def test_metadata_that_is_not_valid_is_an_error_when_asked_for(bad, caplog):
    class Told(Plain):
        def init_metadata(self):
            return bad

    assert ask(Told(), method=seldon.METADATA).answer == ("error", 500, "MICROSERVICE_BAD_METADATA", -1, "Model metadata unavailable")
    assert "expected" in caplog.text


def test_timers_are_histograms_of_seconds_over_fifty_bounds():
    assert usermetrics.BOUNDS == pytest.approx(np.logspace(-3, np.log10(30), 50).tolist(), rel=1e-14)  # NumPy has a power function for each kind of CPU
    registry = usermetrics.Registry()
    registry.update([create_timer("t", 0.5), create_timer("t", 50), create_timer("t", 40000)], "predict")
    lines = registry.text().splitlines()
    buckets = [line for line in lines if line.startswith("t_bucket")]
    assert len(buckets) == 51 and buckets[0].endswith('le="0.001"} 1.0') and buckets[-1].endswith('le="+Inf"} 3.0') and buckets[-2].endswith('le="29.999999999999996"} 2.0')
    assert "# TYPE t histogram" in lines and [line for line in lines if line.startswith("t_sum")][0].endswith(" 40.0505")


def test_text_of_metrics_can_be_parsed_whatever_its_names_are():
    registry = usermetrics.Registry()
    registry.update([{"key": "a b", "type": "GAUGE", "value": float("inf"), "tags": {"x-y": 'q"\\\n'}}, create_counter("n_total", 2)], "predict")
    text = registry.text()
    assert r'a_b{method="predict",x_y="q\"\\\n",' in text and "} +Inf\n" in text and "n_total_total" not in text


# ---- raw methods ----


class Raw:
    def predict_raw(self, msg):
        self.got = msg
        return {"data": {"ndarray": [1]}, "meta": {"metrics": [{"key": "k", "type": "COUNTER", "value": 2}]}}


def test_raw_predict_takes_and_gives_whole_messages():
    user = Raw()
    call = ask(user, raw=b'{"strData":"x"}')
    assert user.got == {"strData": "x"} and call.body["data"] == {"ndarray": [1]} and call.answer[2] == 0


def test_metrics_in_raw_messages_are_counted_and_may_be_dropped(monkeypatch):
    monkeypatch.setenv("INCLUDE_METRICS_IN_CLIENT_RESPONSE", "False")
    component, call = seldon.Component(Raw()), Call(array())
    component.call(call)
    assert call.body["meta"] == {} and "k_total{" in component.metrics.text()


def test_a_status_code_in_a_raw_answer_is_the_http_status():
    class Teapot:
        def predict_raw(self, msg):
            return {"status": {"code": 418, "status": 1}}

    assert ask(Teapot()).answer[2] == 418


def test_raw_over_grpc_takes_protobuf_messages():
    from seldon_core.proto import prediction_pb2 as pb

    class Proto:
        def predict_raw(self, msg):
            assert isinstance(msg, pb.SeldonMessage)
            return pb.SeldonMessage(strData=msg.strData + "!")

    class Dict:
        def predict_raw(self, msg):
            return {"strData": msg.strData + "?"}

    sent = pb.SeldonMessage(strData="x").SerializeToString()
    assert pb.SeldonMessage.FromString(ask(Proto(), is_grpc=True, raw=sent).answer[1]).strData == "x!"
    assert pb.SeldonMessage.FromString(ask(Dict(), is_grpc=True, raw=sent).answer[1]).strData == "x?"


def test_a_protobuf_answer_over_rest_is_json():
    from seldon_core.proto import prediction_pb2 as pb

    class Proto:
        def transform_input_raw(self, msg):
            return pb.SeldonMessage(strData="x")

    assert ask(Proto(), method=seldon.TRANSFORM_INPUT).body == {"strData": "x"}


def test_raw_feedback_is_always_protobuf():
    from seldon_core.proto import prediction_pb2 as pb

    class Learns:
        def send_feedback_raw(self, feedback):
            assert isinstance(feedback, pb.Feedback)
            return {"strData": str(feedback.reward)}

    assert ask(Learns(), method=seldon.FEEDBACK, raw=b'{"reward":0.5,"request":{"strData":"x"}}').body == {"strData": "0.5"}
    kind, status, reason, _, message = ask(Learns(), method=seldon.FEEDBACK, raw=b'{"reward":"x"}').answer
    assert (kind, status, reason) == ("error", 400, "MICROSERVICE_BAD_DATA") and message.startswith("Invalid JSON: Failed to parse reward field")


def test_raw_over_grpc_without_protobuf_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "seldon_core.proto", None)
    kind, status, _, _, message = ask(Raw(), is_grpc=True).answer
    assert (kind, status) == ("error", 501) and "pip install protobuf" in message


def test_raw_only_classes_answer_the_other_protocols_too():
    class Doubles:
        def predict_raw(self, msg):
            return {"data": {"names": ["n"], "tensor": {"shape": [2, 2], "values": [2 * v for row in msg["data"]["ndarray"] for v in row]}}}

    call = ask(Doubles(), is_seldon=False, raw=b"")
    assert call.value.tolist() == [[2, 4], [6, 8]] and call.names == ["n"]


def test_bytes_are_passed_through_undecoded_when_told_so(monkeypatch):
    monkeypatch.setenv("PAYLOAD_PASSTHROUGH", "1")

    class Bytes:
        def predict_raw(self, msg):
            assert isinstance(msg, bytes)
            return msg[::-1]

    assert ask(Bytes(), raw=b"abc").answer == ("raw", b"cba", 0)


def test_deprecated_forms_go_first_and_warn_once(caplog):
    class Old:
        def predict_rest(self, msg):
            return {"strData": "rest"}

        def predict_grpc(self, msg):
            return {"strData": "grpc"}

        def predict_raw(self, msg):
            raise AssertionError("not asked")

    component = seldon.Component(Old())
    for _ in range(2):
        call = Call(array())
        component.call(call)
        assert call.body == {"strData": "rest"}
    assert caplog.text.count("predict_rest is deprecated. Please use predict_raw") == 1
    call = Call(array(), is_grpc=True, raw=b"")
    component.call(call)
    from seldon_core.proto import prediction_pb2 as pb

    assert pb.SeldonMessage.FromString(call.answer[1]).strData == "grpc"


def test_numpy_in_a_raw_answer_is_json():
    class Numbers:
        def predict_raw(self, msg):
            return {"jsonData": {"b": np.float64(1.5), "a": np.arange(2)}}

    assert ask(Numbers()).answer[1] == b'{"jsonData":{"a":[0,1],"b":1.5}}\n'


# ---- load and parameters ----


def test_load_may_be_absent_or_not_implemented(caplog):
    class Raises:
        def load(self):
            raise self.error

    seldon.Component(Plain()).load()
    seldon.Component(Derived()).load()
    user = Raises()
    user.error = NotImplementedError()
    seldon.Component(user).load()
    assert not caplog.records
    user.error = AttributeError("typo")
    seldon.Component(user).load()
    assert "typo" in caplog.text
    user.error = OSError("no model")
    with pytest.raises(OSError):
        seldon.Component(user).load()


def test_parameters_have_types():
    told = [{"name": "i", "type": "INT", "value": "3"}, {"name": "f", "type": "FLOAT", "value": "2.5"}, {"name": "d", "type": "DOUBLE", "value": "1e3"},
            {"name": "s", "type": "STRING", "value": "3"}, {"name": "b", "type": "BOOL", "value": "True"}, {"name": "n", "type": "BOOL", "value": "off"}]
    assert parameters.parse(json.dumps(told)) == {"i": 3, "f": 2.5, "d": 1000.0, "s": "3", "b": True, "n": False}
    assert parameters.parse('{"scale": 2.5}') == {"scale": 2.5} and parameters.parse("") == {}


@pytest.mark.parametrize("told, text", [
    ('[{"name":"i","type":"INT","value":"x"}]', "Bad model parameter: i with value x can't be parsed as a INT"),
    ('[{"name":"i","type":"LIST","value":"x"}]', "Bad model parameter type: LIST valid are INT, FLOAT, DOUBLE, STRING, BOOL"),
    ('[{"name":"b","type":"BOOL","value":"maybe"}]', "can't be parsed as a BOOL"), ("[1]", "expected a list"), ("{", "not JSON")])
def test_bad_parameters_say_what_is_wrong(told, text):
    with pytest.raises(parameters.ParameterError, match=re.escape(text)):
        parameters.parse(told)
