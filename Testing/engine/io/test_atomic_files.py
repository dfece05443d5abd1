"""Files appear whole, under their name alone, whoever else writes them; locks are of one process at a time."""

import errno
import multiprocessing
import os
import signal
import time

import pytest
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.atomic_files import locked, write_atomically, write_folder, write_text

FORK = multiprocessing.get_context("fork")


def write_often(path, letter, times):
    for _ in range(times):
        write_text(path, letter * 50_000)


def test_several_processes_write_one_file_and_one_of_them_wins_whole(tmp_path):
    path = tmp_path / "summary.json"
    crew = [FORK.Process(target=write_often, args=(path, letter, 40)) for letter in "abcd"]
    for one in crew:
        one.start()
    while any(one.is_alive() for one in crew):
        if path.exists():
            assert path.read_text() in [letter * 50_000 for letter in "abcd"]
    for one in crew:
        one.join()
    assert [one.exitcode for one in crew] == [0] * 4, "none met the other's temporary file"
    assert os.listdir(tmp_path) == ["summary.json"]


def test_the_disk_has_the_file_before_its_name_appears(tmp_path, monkeypatch):
    steps, replace = [], os.replace
    monkeypatch.setattr(os, "fsync", lambda file: steps.append(os.path.basename(os.readlink(f"/proc/self/fd/{file}"))))
    monkeypatch.setattr(os, "replace", lambda *names: (steps.append("renamed"), replace(*names)))
    write_text(tmp_path / "a.txt", "text")
    assert steps[0].startswith(".partial-")
    assert steps[1:] == ["renamed", tmp_path.name]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError, OSError(errno.ENOSPC, "No space left on device")])
def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path, stop):
    path = tmp_path / "a.nii.gz"
    path.write_text("old")

    def write(partial):
        assert partial.name.endswith(".nii.gz"), "writers go by the ending"
        partial.write_text("half")
        raise stop

    with pytest.raises(InputError if isinstance(stop, OSError) else stop) as caught:
        write_atomically(path, write)
    if isinstance(stop, OSError):
        assert "free some space" in str(caught.value) and "rights" not in str(caught.value)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.nii.gz"]


def test_what_a_killed_process_left_goes_a_day_later(tmp_path):
    fresh, old, another = (tmp_path / f".partial-{word}-{name}" for word, name in (
        ("0123abcd", "a.txt"), ("89abcdef", "a.txt"), ("89abcdef", "b.txt"),
    ))  # fmt: skip
    for path in (fresh, old, another):
        path.write_text("half")
    for path in (old, another):
        os.utime(path, (time.time() - 2 * 24 * 3600,) * 2)
    write_text(tmp_path / "a.txt", "text")
    assert set(os.listdir(tmp_path)) == {"a.txt", fresh.name, another.name}


def write_slowly(path, said):
    def write(partial):
        partial.write_bytes(bytes(100_000))
        said.send(partial.name)
        time.sleep(60)

    write_atomically(path, write)


def fill_slowly(path, said):
    def write(partial):
        (partial / "part").write_text("half")
        said.send(partial.name)
        time.sleep(60)

    write_folder(path, write)


@pytest.mark.parametrize("killed", [write_slowly, fill_slowly])
def test_what_a_killed_process_left_goes_with_the_next_write_and_what_another_writes_stays(
    tmp_path, killed, monkeypatch
):
    """A run that is killed over and over must not fill the disk with parts of its own files."""
    from UNetSegmenterLib.engine.io import atomic_files

    monkeypatch.setattr(atomic_files, "_JUST_MADE_SECONDS", -1)
    hear, say = FORK.Pipe(duplex=False)
    crew = [FORK.Process(target=killed, args=(tmp_path / "pack.bin", say)) for _ in range(2)]
    for one in crew:
        one.start()
    names = {hear.recv() for _ in crew}
    assert set(os.listdir(tmp_path)) == names, "neither took the other's for abandoned"
    write_text(tmp_path / "pack.bin", "text")
    assert set(os.listdir(tmp_path)) == names | {"pack.bin"}
    for one in crew:
        one.kill()
        one.join()
    write_text(tmp_path / "other.bin", "text")
    assert set(os.listdir(tmp_path)) == names | {"pack.bin", "other.bin"}, (
        "files of other names are none of its business"
    )
    write_text(tmp_path / "pack.bin", "text")
    assert set(os.listdir(tmp_path)) == {"pack.bin", "other.bin"}


def test_a_file_that_another_machine_writes_stays(tmp_path, monkeypatch):
    from UNetSegmenterLib.engine.io import atomic_files

    monkeypatch.setattr(atomic_files, "_JUST_MADE_SECONDS", -1)
    there = tmp_path / ".partial-0123456789abcd-a.txt"
    there.write_text("half")
    write_text(tmp_path / "a.txt", "text")
    assert there.exists()


def test_a_name_as_long_as_the_file_system_takes(tmp_path):
    path = tmp_path / f"{'漢' * 80}.txt"
    write_text(path, "text")
    assert path.read_text() == "text"


def test_a_folder_is_whole_and_no_other_is_replaced(tmp_path):
    def write(partial):
        (partial / "a").write_text("a")

    write_folder(tmp_path / "pack", write)
    assert os.listdir(tmp_path / "pack") == ["a"]
    with pytest.raises(InputError, match="another run"):
        write_folder(tmp_path / "pack", write)
    assert os.listdir(tmp_path) == ["pack"]


def hold(path, seconds):
    with locked(path):
        time.sleep(seconds)


def test_a_lock_is_of_one_process_and_goes_with_it(tmp_path):
    path = tmp_path / "run.lock"
    holder = FORK.Process(target=hold, args=(path, 60))
    holder.start()
    while not (path.exists() and path.read_text()):
        time.sleep(0.01)
    with pytest.raises(InputError, match=f"another run \\(process {holder.pid} on"), locked(path, wait_seconds=0):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with locked(path, wait_seconds=0):
        assert str(os.getpid()) in path.read_text()
    assert not os.listdir(tmp_path)


def count(folder, times):
    for _ in range(times):
        with locked(folder / "lock"):
            number = int((folder / "count").read_text())
            (folder / "count").write_text(str(number + 1))


def test_a_lock_that_is_removed_and_made_anew_is_still_one_lock(tmp_path):
    (tmp_path / "count").write_text("0")
    crew = [FORK.Process(target=count, args=(tmp_path, 50)) for _ in range(4)]
    for one in crew:
        one.start()
    for one in crew:
        one.join()
    assert (tmp_path / "count").read_text() == "200"
