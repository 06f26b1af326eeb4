from accrual.show.start import SelfTest


def test_it_answers_what_it_is_asked(monkeypatch):
    widget, sent = SelfTest(), []
    monkeypatch.setattr(widget, "send", sent.append)
    for content in ({"ask": 3}, "nonsense", {}, {"ask": 4}):
        widget._handle_custom_msg(content, [])
    assert sent == [{"answer": 3}, {"answer": 4}]
    assert repr(widget) == "SelfTest(answered 2 times)"
