"""What reading a model of nnU-Net is refused with."""

import pytest
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.imports.nnunet_folder import read_nnunet_draft


def refusal(folder, *words, **options):
    with pytest.raises(InputError) as caught:
        read_nnunet_draft(folder, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message
    return message
