"""The spool keeps what it was given: through kill -9, damage, a full disk and many threads."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from monitoring import segments, spool
from monitoring.spool import Reader, Spool, SpoolFull

ROOT = Path(__file__).resolve().parents[2]


def payloads(reader: Reader) -> list[bytes]:
    """Everything that waits, marked as stored batch by batch."""
    found: list[bytes] = []
    while batch := reader.batch():
        found += [payload for _, payload in batch]
        reader.mark([token for token, _ in batch])
    return found


def fill(writer: Spool) -> tuple[int, SpoolFull]:
    """How many calls went in before the refusal, and the refusal."""
    for count in range(10_000):
        try:
            writer.append(bytes(1000))
        except SpoolFull as refused:
            return count, refused
    raise AssertionError("the cap never refused")


def only_segment(directory: Path) -> Path:
    (path,) = directory.glob(f"*{segments.SUFFIX}")
    return path


def test_calls_are_read_in_the_order_they_were_written(tmp_path):
    writer = Spool(tmp_path)
    for number in range(1200):
        writer.append(b"%d" % number)
    assert payloads(Reader(tmp_path)) == [b"%d" % number for number in range(1200)]


def test_an_unmarked_call_comes_again_and_a_marked_one_does_not(tmp_path):
    writer = Spool(tmp_path)
    for number in range(4):
        writer.append(b"%d" % number)
    reader = Reader(tmp_path)
    tokens = [token for token, _ in reader.batch()]
    reader.mark([tokens[0], tokens[2]])
    assert [payload for _, payload in reader.batch()] == [b"1", b"3"]
    reader.close()
    # Another reader knows only the checkpoint: what was stored behind a gap comes again, nothing is lost.
    assert [payload for _, payload in Reader(tmp_path).batch()] == [b"1", b"2", b"3"]


@pytest.mark.parametrize("segment_bytes", [2**20, 8192])
def test_calls_behind_a_batch_that_is_not_marked_yet_are_handed_out_without_it(tmp_path, segment_bytes):
    writer = Spool(tmp_path, segment_bytes=segment_bytes)
    written = [b"%d" % number + bytes(1000) for number in range(30)]
    for payload in written:
        writer.append(payload)
    reader = Reader(tmp_path)
    under_way, found = [reader.batch(calls=4)], []
    while under_way:
        if batch := reader.batch(calls=4, behind=under_way[-1][-1][0]):
            under_way.append(batch)
        oldest = under_way.pop(0)
        found += [payload for _, payload in oldest]
        reader.mark([token for token, _ in oldest])
    assert found == written
    assert reader.batch() == []
    writer.close()
    assert payloads(reader) == []
    assert list(tmp_path.glob("*.offset")) == []


def test_a_batch_that_was_refused_comes_again_without_the_one_behind_it_that_is_stored(tmp_path):
    writer = Spool(tmp_path)
    for number in range(10):
        writer.append(b"%d" % number)
    reader = Reader(tmp_path)
    refused = reader.batch(calls=4)
    stored = reader.batch(calls=4, behind=refused[-1][0])
    reader.mark([token for token, _ in stored])
    assert [payload for _, payload in reader.batch()] == [b"0", b"1", b"2", b"3", b"8", b"9"]
    reader.mark([token for token, _ in refused])
    assert [payload for _, payload in reader.batch()] == [b"8", b"9"]


def test_a_second_reader_of_the_same_folder_gets_nothing(tmp_path):
    Spool(tmp_path).append(b"x")
    first, second = Reader(tmp_path), Reader(tmp_path)
    assert len(first.batch()) == 1
    assert second.batch() == []
    first.close()
    assert len(second.batch()) == 1


def test_a_segment_is_removed_when_it_is_read_and_its_writer_has_gone(tmp_path):
    writer = Spool(tmp_path)
    writer.append(b"x")
    reader = Reader(tmp_path)
    assert payloads(reader) == [b"x"]
    assert only_segment(tmp_path).exists()
    writer.close()
    assert payloads(reader) == []
    assert list(tmp_path.glob("*.spool")) == list(tmp_path.glob("*.offset")) == []


def test_a_full_segment_is_followed_by_the_next(tmp_path):
    writer = Spool(tmp_path, segment_bytes=8192)
    written = [os.urandom(1000) for _ in range(50)]
    for payload in written:
        writer.append(payload)
    writer.tick()
    assert len(list(tmp_path.glob("*.spool"))) > 5
    reader = Reader(tmp_path)
    assert payloads(reader) == written
    assert payloads(reader) == []
    assert len(list(tmp_path.glob("*.spool"))) <= 2


def test_what_is_on_the_disk_takes_no_memory_of_the_writer(tmp_path):
    written = [b"%d" % number + bytes(100_000) for number in range(70)]
    writer = Spool(tmp_path)
    for number, payload in enumerate(written):
        writer.append(payload)
        if number % 5 == 4:
            writer.sync()
        assert 0 < mapped(tmp_path) < 2.5 * 2**20
    assert payloads(Reader(tmp_path)) == written


def mapped(folder: Path) -> int:
    """Octets of the folder's files that stand in this process's own memory."""
    mappings = re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text())
    found = [re.search(r"^Rss: +(\d+) kB", one, re.MULTILINE) for one in mappings if f" {folder}/" in one]
    return sum(int(one[1]) for one in found if one) * 1024


def test_whoever_prepares_hears_when_a_prepared_segment_was_taken(tmp_path):
    writer = Spool(tmp_path, segment_bytes=8192)
    heard: list[int] = []
    writer.was_taken = lambda: heard.append(len(list(tmp_path.glob("*.spool"))))
    writer.prepare()
    writer.prepare()
    assert len(list(tmp_path.glob("*.spool"))) == 2
    for _ in range(10):
        writer.append(bytes(1000))
    assert heard == [2], "the prepared one is used, none was made in the call"


def test_the_cap_refuses_and_a_drained_spool_takes_again(tmp_path):
    writer = Spool(tmp_path, limit=64 * 1024, segment_bytes=16 * 1024)
    count, refused = fill(writer)
    assert 1 <= refused.retry_after <= 30
    assert 50 < count < 65
    writer.tick()
    assert len(payloads(Reader(tmp_path))) == count
    time.sleep(0.06)
    writer.append(b"again")


def test_retry_after_follows_the_speed_of_the_keeper(tmp_path):
    writer = Spool(tmp_path, limit=64 * 1024, segment_bytes=16 * 1024)
    reader = Reader(tmp_path)
    fill(writer)
    writer._drain.sample()
    reader.mark([token for token, _ in reader.batch(calls=8)])
    time.sleep(0.2)
    writer._drain.sample()
    assert writer._drain.seconds_for(16 * 1024) == 1
    assert writer._drain.seconds_for(160 * 1024) > 2


def test_a_payload_no_segment_could_hold_is_refused(tmp_path):
    with pytest.raises(ValueError, match="do not fit"):
        Spool(tmp_path, segment_bytes=8192).append(bytes(9000))


@pytest.mark.parametrize("cut", [1, 10, 23, 500])
def test_a_truncated_tail_costs_only_the_last_call(tmp_path, cut):
    writer = Spool(tmp_path)
    for number in range(20):
        writer.append(b"%03d" % number + bytes(997))
    writer.close()
    path = only_segment(tmp_path)
    with path.open("rb") as file:
        end, calls = segments.counters(file.fileno())
    assert calls == 20
    os.truncate(path, end - cut)
    reader = Reader(tmp_path)
    assert [payload[:3] for payload in payloads(reader)] == [b"%03d" % number for number in range(19)]
    assert reader.damaged == 1
    assert not path.exists()


def test_damage_in_the_middle_costs_only_the_calls_it_hit(tmp_path):
    writer = Spool(tmp_path)
    for number in range(200):
        writer.append(b"%03d" % number + os.urandom(997))
    writer.close()
    path = only_segment(tmp_path)
    with path.open("r+b") as file:
        for place in (10_500, 10_600, 100_000):
            file.seek(place)
            file.write(b"\xff" * 8)
        file.seek(segments.PROLOGUE_BYTES + 50 * 1020 - 20 + 8)  # a header's length
        file.write(b"\xff\xff\xff\x7f")
    reader = Reader(tmp_path)
    found = payloads(reader)
    assert len(found) in (196, 197)
    assert reader.damaged in (3, 4)
    assert [int(payload[:3]) for payload in found] == sorted(int(payload[:3]) for payload in found)


@pytest.mark.parametrize("seed", range(20))
def test_random_damage_never_breaks_the_reader_nor_invents_a_call(tmp_path, seed):
    dice = random.Random(seed)
    writer = Spool(tmp_path, segment_bytes=64 * 1024)
    written = {dice.randbytes(dice.randrange(1, 3000)) for _ in range(60)}
    for payload in written:
        writer.append(payload)
    writer.close()
    for path in tmp_path.glob("*.spool"):
        with path.open("r+b") as file:
            for _ in range(dice.randrange(6)):
                file.seek(dice.randrange(path.stat().st_size))
                file.write(dice.randbytes(dice.randrange(1, 200)))
    found = payloads(Reader(tmp_path))
    assert set(found) <= written
    assert len(found) > 25
    assert list(tmp_path.glob("*.spool")) == []


def test_many_threads_append_and_one_reads_meanwhile(tmp_path):
    writer = Spool(tmp_path, segment_bytes=64 * 1024)
    reader = Reader(tmp_path)
    found: list[bytes] = []
    barrier = threading.Barrier(9)

    def append(name: int) -> None:
        barrier.wait()
        for number in range(500):
            writer.append(b"%d-%d" % (name, number) + bytes(100))

    threads = [threading.Thread(target=append, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    barrier.wait()
    while any(thread.is_alive() for thread in threads):
        found += payloads(reader)
        writer.tick()
    found += payloads(reader)
    assert len(found) == 4000
    assert len(set(found)) == 4000
    assert reader.damaged == 0


WRITER = """
    import sys
    from pathlib import Path
    from monitoring.spool import Spool
    spool = Spool(Path(sys.argv[1]), segment_bytes=256 * 1024)
    number = 0
    while True:
        spool.append(b"%d " % number + b"." * (number % 900))
        sys.stdout.write(f"{number}\\n")
        sys.stdout.flush()
        number += 1
        if number % 1000 == 0:
            spool.tick()
"""


@pytest.mark.parametrize("after", [0.05, 0.2, 0.5])
def test_kill_nine_loses_no_acknowledged_call(tmp_path, after):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    threading.Timer(after, process.send_signal, [signal.SIGKILL]).start()
    acknowledged = len((first + process.stdout.read()).rpartition(b"\n")[0].split())
    process.wait()
    process.stdout.close()
    reader = Reader(tmp_path)
    found = [int(payload.split(b" ")[0]) for payload in payloads(reader)]
    assert acknowledged > 100
    assert found == list(range(len(found)))
    assert len(found) >= acknowledged
    assert list(tmp_path.glob("*.spool")) == []


def test_a_segment_whose_creation_was_cut_short_is_swept_away(tmp_path):
    stale, young = tmp_path / f"1{segments.UNFINISHED}", tmp_path / f"2{segments.UNFINISHED}"
    for path in (stale, young):
        path.write_bytes(bytes(100))
    os.utime(stale, (1, 1))
    Spool(tmp_path)
    assert not stale.exists()
    assert young.exists()


def test_a_full_disk_refuses_and_leaves_nothing_behind(tmp_path, monkeypatch):
    writer = Spool(tmp_path, segment_bytes=16 * 1024)

    def no_space(file: int, offset: int, length: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_space)
    count, refused = fill(writer)
    assert 10 < count < 17
    assert refused.retry_after >= 1
    assert list(tmp_path.glob(f"*{segments.UNFINISHED}")) == []
    monkeypatch.undo()
    time.sleep(0.06)
    writer.append(b"again")
    assert len(payloads(Reader(tmp_path))) == count + 1


def test_depth_counts_what_waits_and_how_long(tmp_path):
    writer = Spool(tmp_path)
    for _ in range(10):
        writer.append(bytes(100))
    time.sleep(0.05)
    before = spool.depth(tmp_path)
    assert before.calls == 10
    assert before.octets == 10 * 120
    assert 0.05 <= before.oldest_s < 5
    reader = Reader(tmp_path)
    reader.mark([token for token, _ in reader.batch(calls=4)])
    assert spool.depth(tmp_path).calls == 6
    payloads(reader)
    after = spool.depth(tmp_path)
    assert (after.calls, after.octets, after.oldest_s) == (0, 0, 0.0)


def test_appending_costs_microseconds(tmp_path):
    writer = Spool(tmp_path, segment_bytes=16 * 2**20)
    payload = os.urandom(600)
    started = time.perf_counter()
    for _ in range(10_000):
        writer.append(payload)
    assert (time.perf_counter() - started) / 10_000 < 50e-6
