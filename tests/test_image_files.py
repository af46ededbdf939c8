from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_sam2.errors import PromptError, Sam2Error
from napari_sam2.image_files import check_writable, read_plane, read_planes, write_image

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (12, 17), dtype=np.uint8)
RGB = RNG.integers(0, 256, (12, 17, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".TIFF"])
@pytest.mark.parametrize("image", [GREY, RGB], ids=["grey", "rgb"])
def test_a_picture_is_read_as_it_was_saved(tmp_path: Path, suffix: str, image: np.ndarray) -> None:
    path = tmp_path / f"Zellkerne µm {suffix}"
    Image.fromarray(image).save(path)
    np.testing.assert_array_equal(read_plane(path), image)


@pytest.mark.parametrize("dtype", ["u2", "i2", "f4", "f8", "u4"])
def test_scientific_dtypes_survive(tmp_path: Path, dtype: str) -> None:
    image = RNG.integers(0, 30_000, (12, 17)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", image)
    read = read_plane(tmp_path / "a.tif")
    assert read.dtype == image.dtype
    np.testing.assert_array_equal(read, image)


def test_16_bit_png_keeps_its_16_bits(tmp_path: Path) -> None:
    image = RNG.integers(0, 65_536, (12, 17), dtype=np.uint16)
    Image.fromarray(image).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_plane(tmp_path / "a.png"), image)


def test_a_palette_is_read_as_its_colours(tmp_path: Path) -> None:
    Image.fromarray(RGB).quantize(256).save(tmp_path / "a.png")
    assert read_plane(tmp_path / "a.png").shape == RGB.shape


def test_grey_with_alpha_is_grey(tmp_path: Path) -> None:
    Image.fromarray(GREY).convert("LA").save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_plane(tmp_path / "a.png"), GREY)


def test_one_plane_of_a_stack_is_picked(tmp_path: Path) -> None:
    stack = RNG.integers(0, 256, (5, 12, 17), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    np.testing.assert_array_equal(read_plane(tmp_path / "a.tif", (3,)), stack[3])


def test_a_stack_of_three_planes_is_not_taken_for_colours(tmp_path: Path) -> None:
    """RGB against channel against z confusion (micro-sam 38, 1248)."""
    stack = RNG.integers(0, 256, (3, 12, 17), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    with pytest.raises(PromptError, match="holds 3 planes"):
        read_plane(tmp_path / "a.tif")


def test_two_axes_need_two_indices(tmp_path: Path) -> None:
    stack = RNG.integers(0, 256, (2, 4, 12, 17), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "TZYX"})
    np.testing.assert_array_equal(read_plane(tmp_path / "a.tif", (1, 2)), stack[1, 2])
    with pytest.raises(PromptError, match=r"2 x 4 planes; .* 2 indices, got 1.*--plane 1,2"):
        read_plane(tmp_path / "a.tif", (1,))


def test_a_stack_of_colour_pictures(tmp_path: Path) -> None:
    stack = RNG.integers(0, 256, (4, 12, 17, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="rgb")
    np.testing.assert_array_equal(read_plane(tmp_path / "a.tif", (2,)), stack[2])


@pytest.mark.parametrize(
    ("shape", "in_a_row"),
    [((5, 6), (1, 5, 6)), ((2, 4, 5, 6), (8, 5, 6)), ((5, 6, 3), (1, 5, 6, 3))],
)
def test_all_planes_are_read_in_a_row(
    tmp_path: Path, shape: tuple[int, ...], in_a_row: tuple[int, ...]
) -> None:
    image = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    colours = "rgb" if shape[-1] == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", image, photometric=colours)
    planes = read_planes(tmp_path / "a.tif")
    assert planes.shape == in_a_row
    assert np.array_equal(planes.ravel(), image.ravel())


def test_colours_that_are_stored_one_after_the_other(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate"
    )
    np.testing.assert_array_equal(read_plane(tmp_path / "a.tif"), RGB)


def test_lzw_which_needs_another_reader(tmp_path: Path) -> None:
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    frames[0].save(tmp_path / "one.tif", compression="tiff_lzw")
    frames[0].save(
        tmp_path / "two.tif", compression="tiff_lzw", save_all=True, append_images=frames[1:]
    )
    np.testing.assert_array_equal(read_plane(tmp_path / "one.tif"), GREY)
    np.testing.assert_array_equal(read_plane(tmp_path / "two.tif", (1,)), 255 - GREY)


def test_a_tiff_by_another_name(tmp_path: Path) -> None:
    image = RNG.integers(0, 65_536, (12, 17), dtype=np.uint16)
    (tmp_path / "a.lsm").write_bytes(tiff_bytes(image))
    np.testing.assert_array_equal(read_plane(tmp_path / "a.lsm"), image)


def test_which_plane_is_asked_with_an_example(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((10, 8, 8), np.uint8), photometric="minisblack")
    with pytest.raises(PromptError, match=r"holds 10 planes; choose one .* example --plane 5"):
        read_plane(tmp_path / "a.tif")


@pytest.mark.parametrize("index", [10, -1])
def test_a_plane_that_is_not_there(tmp_path: Path, index: int) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((10, 8, 8), np.uint8), photometric="minisblack")
    with pytest.raises(PromptError, match=f"Plane {index} does not exist .* has 10 planes"):
        read_plane(tmp_path / "a.tif", (index,))


def test_a_plane_of_a_single_picture(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    with pytest.raises(PromptError, match=r"single plane\. Leave --plane out"):
        read_plane(tmp_path / "a.png", (0,))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="There is no image"):
        read_planes(tmp_path / "nothing.tif")
    with pytest.raises(PromptError, match=r"no image at .*nowhere\.png"):
        read_plane(tmp_path / "nowhere.png")
    with pytest.raises(PromptError, match="no image at"):
        read_plane(tmp_path)


def png_bytes() -> bytes:
    import io

    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "PNG")
    return buffer.getvalue()


def tiff_bytes(image: np.ndarray = GREY) -> bytes:
    import io

    buffer = io.BytesIO()
    tifffile.imwrite(buffer, image, compression="zlib")
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
@pytest.mark.parametrize(
    "content",
    [b"", b"not a picture", png_bytes()[:60], png_bytes()[:-30], tiff_bytes()[:20]],
    ids=["empty", "text", "short png", "cut png", "cut tiff"],
)
def test_what_is_no_picture_is_told_in_a_sentence(
    tmp_path: Path, suffix: str, content: bytes
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(PromptError, match=r"Cannot read .* as an image"):
        read_plane(path)


def test_a_tiff_with_a_flipped_byte_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_bytes())
    with tifffile.TiffFile(path) as tiff:
        place = tiff.pages[0].dataoffsets[0]  # the compressed pixels begin here
    damaged = bytearray(tiff_bytes())
    damaged[place] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(PromptError, match=r"Cannot read .* as an image"):
        read_plane(path)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF"])
@pytest.mark.parametrize("image", [GREY, RGB], ids=["grey", "rgb"])
def test_what_is_written_is_read_again(tmp_path: Path, suffix: str, image: np.ndarray) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(path, image)
    np.testing.assert_array_equal(read_plane(path), image)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_new_file_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_image(path, GREY)
    write_image(path, 255 - GREY)
    np.testing.assert_array_equal(read_plane(path), 255 - GREY)


def test_a_failed_write_leaves_the_old_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    write_image(path, GREY)

    def full(self: Path, data: bytes) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(Sam2Error, match=r"Cannot write .*a.png: No space left on device\."):
        write_image(path, 255 - GREY)
    np.testing.assert_array_equal(read_plane(path), GREY)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_where_it_can_be_written_is_known_beforehand(tmp_path: Path) -> None:
    check_writable(tmp_path / "a.tif")
    with pytest.raises(PromptError, match=r"written as .tif, .tiff, .png, got .*a.jpg"):
        check_writable(tmp_path / "a.jpg")
    with pytest.raises(Sam2Error, match="there is no folder"):
        check_writable(tmp_path / "missing" / "a.tif")
