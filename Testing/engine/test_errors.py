"""Messages stay one line that can be read, whatever the names and values of the input are."""

import pickle

import pytest
from UNetSegmenterLib.engine.errors import InputError, explain, os_error_text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb", r"a\nb"),
        ("a\x1b]0;title\x07b", r"a\x1b]0;title\x07b"),
        ("a\u202egpj", r"a\u202egpj"),
        ("a\udcffb", r"a\udcffb"),
        ("Müller 肝 🫀", "Müller 肝 🫀"),
    ],
)
def test_a_name_can_not_break_the_line_or_turn_its_direction(name, shown):
    error = InputError(f"{name} is no scan; choose another.")
    assert str(error) == f"{shown} is no scan; choose another."
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_message_that_repeats_a_long_value_keeps_its_beginning_and_its_end():
    text = str(InputError(f"case.pt has the entry {'x' * 5000}; correct it."))
    assert len(text) < 900
    assert text.startswith("case.pt has the entry xxx")
    assert text.endswith("x; correct it.")


def test_what_the_system_says_of_a_file_is_a_sentence(tmp_path):
    loop = tmp_path / "loop.nii"
    loop.symlink_to(loop)
    with pytest.raises(OSError, match="symbolic") as caught:
        loop.read_bytes()
    assert os_error_text(caught.value).startswith(f"{loop}: ")
    assert os_error_text(caught.value).endswith("; it is a link that leads back to itself.")
    error = PermissionError(13, "Permission denied", "scan.nii")
    assert explain(error, "The comparison") == (
        "input",
        "The comparison stopped: scan.nii: Permission denied; check its rights.",
    )
