import pytest

from tests.helpers.tiny_bundle import FOLDER, write_tiny_bundle


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "tokenizer.json.gz"])
def test_committed_bundle_is_what_the_script_writes(tmp_path, name):
    write_tiny_bundle(tmp_path)

    assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        path.name for path in FOLDER.iterdir()
    )
