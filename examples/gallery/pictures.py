"""Rendered text: words, lines and pages in the fonts that matplotlib ships, and photographs that scikit-image ships."""

from functools import cache
from pathlib import Path

import numpy as np

FACES = (
    "DejaVuSans",
    "DejaVuSans-Bold",
    "DejaVuSans-Oblique",
    "DejaVuSerif",
    "DejaVuSerif-Bold",
    "DejaVuSerif-Italic",
    "DejaVuSansMono",
    "DejaVuSansMono-Bold",
    "STIXGeneral",
    "STIXGeneralBol",
)
WORDS = """
address amount angle apple arrival author balance basket battery branch bridge bright butter camera candle careful
castle channel chapter circle climate coffee column common compass copper corner cotton credit current danger delivery
desert device dinner doctor double driver eastern editor eleven engine energy evening example factory farmer father
feather figure filter finger flower folder forest fortune freedom garden general ginger golden grammar guitar hammer
harbour history holiday hundred island jacket journey kettle kitchen ladder language leather letter lantern library
machine market meadow measure member mirror morning mountain museum napkin nature needle notice number object october
office orange orchard package painter paper parcel pencil pepper picture pillow planet pocket postage present quarter
railway rainbow receipt record river rocket saddle sample school season second silver simple station stone street
summer sunday system table temple theatre ticket timber tomato total tower travel trumpet tunnel valley velvet village
violin volume wagon wallet water weather window winter wonder yellow zebra
""".split()


@cache
def font(face: str, size: int):
    """A PIL font of FACES, `size` pixels high."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"), size)


def colours(random) -> tuple:
    """Draws two colours far apart in brightness: (background, ink)."""
    dark, light = random.integers(0, 90, 3), random.integers(180, 256, 3)
    return tuple(map(tuple, ((light, dark) if random.random() < 0.8 else (dark, light))))


def line(text: str, random, height: int = 48, margin: int = 6):
    """A PIL picture of one line of text on plain paper, `height` pixels high."""
    from PIL import Image, ImageDraw

    paper, ink = colours(random)
    letters = font(FACES[random.integers(len(FACES))], int(random.integers(int(height * 0.5), int(height * 0.72))))
    left, top, right, bottom = letters.getbbox(text)
    picture = Image.new("RGB", (right - left + 2 * margin, height), paper)
    ImageDraw.Draw(picture).text((margin - left, (height - (bottom - top)) // 2 - top), text, fill=ink, font=letters)
    return picture


def page(random, width: int, height: int):
    """Draws text all over a picture: (a PIL picture with lines of text, [(left, top, right, bottom) of every line])."""
    from PIL import Image, ImageDraw

    paper, ink = colours(random)
    picture, boxes = Image.new("RGB", (width, height), paper), []
    draw, top = ImageDraw.Draw(picture), int(random.integers(8, 30))
    while True:
        letters = font(FACES[random.integers(len(FACES))], int(random.integers(height // 26, height // 13)))
        text = words(random, int(random.integers(1, 4)))
        left = int(random.integers(8, 40))
        box = draw.textbbox((left, top), text, font=letters)
        if box[3] > height - 8:
            return picture, boxes
        if box[2] < width - 8:
            draw.text((left, top), text, fill=ink, font=letters)
            boxes.append(box)
            top = box[3] + int(random.integers(height // 30, height // 12))


def document(random, width: int, height: int, figures):
    """A PIL picture of a printed page: a title, then paragraphs, headings, figures and tables with captions in one or
    two columns. figures: PIL pictures."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (width, height), tuple(map(int, random.integers(235, 256, 3))))
    draw, size = ImageDraw.Draw(picture), int(random.integers(height // 80, height // 55))
    face, margin = FACES[(0, 3, 8)[random.integers(3)]], int(random.integers(width // 14, width // 9))
    columns, top = int(random.integers(1, 3)), int(random.integers(height // 20, height // 10))
    _centred(draw, words(random, 4), width // 2, top, font(face, 2 * size))
    wide = (width - 2 * margin - (columns - 1) * 2 * size) // columns
    for column in range(columns):
        left, place = margin + column * (wide + 2 * size), top + 4 * size
        while place < height - 12 * size:
            part = (_paragraph, _figure, _rows, _heading)[random.choice(4, p=[0.6, 0.15, 0.15, 0.1])]
            place = part(picture, draw, random, left, place, wide, size, face, figures)
    return picture


def _centred(draw, text, middle, top, letters):
    draw.text((middle - draw.textlength(text, font=letters) / 2, top), text, fill=0, font=letters)


def _paragraph(picture, draw, random, left, top, wide, size, face, figures):
    for _ in range(int(random.integers(4, 10))):
        line = longer = ""
        while draw.textlength(longer, font=font(face, size)) < wide:
            line, longer = longer, f"{longer} {words(random, 1)}".strip()
        draw.text((left, top), line, fill=0, font=font(face, size))
        top += size * 27 // 20
        if top > picture.height - 4 * size:
            break
    return top + size


def _figure(picture, draw, random, left, top, wide, size, face, figures):
    tall = int(random.integers(8, 11)) * size
    picture.paste(figures[random.integers(len(figures))].resize((wide * 3 // 4, tall)), (left + wide // 8, top))
    caption = f"Figure {random.integers(1, 9)}. {words(random, 2)}"
    _centred(draw, caption, left + wide // 2, top + tall + size // 2, font(face, size))
    return top + tall + 7 * size // 2


def _rows(picture, draw, random, left, top, wide, size, face, figures):
    letters, (rows, cells) = font(face, size), (int(random.integers(3, 7)), int(random.integers(3, 5)))
    _centred(draw, f"Table {random.integers(1, 9)}. {words(random, 2)}", left + wide // 2, top, letters)
    top, bottom = top + size * 8 // 5, top + size * 8 // 5 + rows * 2 * size
    for row in range(rows + 1):
        draw.line((left, top + row * 2 * size, left + wide, top + row * 2 * size), fill=0)
    for cell in range(cells + 1):
        draw.line((left + cell * wide // cells, top, left + cell * wide // cells, bottom), fill=0)
    for number in range(rows * cells):
        place = left + number % cells * wide // cells + 4, top + number // cells * 2 * size + size // 3
        draw.text(place, str(random.integers(1, 999) / 10), fill=0, font=letters)
    return bottom + 2 * size


def _heading(picture, draw, random, left, top, wide, size, face, figures):
    draw.text((left, top), f"{random.integers(1, 9)} {words(random, 2)}", fill=0, font=font(face, size * 13 // 10))
    return top + size * 12 // 5


def words(random, count: int) -> str:
    """English words with a number among them now and then."""
    chosen = [WORDS[each] for each in random.integers(len(WORDS), size=count)]
    return " ".join(str(random.integers(10, 9999)) if random.random() < 0.15 else word for word in chosen)


def photographs(folder: Path) -> dict:
    """Reads the photographs that scikit-image ships (all harmless), {name: PIL picture}: an astronaut, a cat, coffee, a
    rocket, ..."""
    from PIL import Image

    data = folder / "skimage" / "data"
    return {name.split(".")[0]: Image.open(data / name).convert("RGB") for name in PHOTOGRAPHS}


PHOTOGRAPHS = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "motorcycle_left.png",
    "rocket.jpg",
    "camera.png",
    "page.png",
    "coins.png",
    "horse.png",
    "moon.png",
    "retina.jpg",
)


def crops(folder: Path, random, count: int, size: int) -> list:
    """Random parts of the photographs, mirrored now and then, [size, size] pixels."""
    pictures, found = list(photographs(folder).values()), []
    for each in range(count):
        picture = pictures[each % len(pictures)]
        side = int(min(picture.size) * random.uniform(0.5, 1.0))
        left, top = (int(random.integers(0, extent - side + 1)) for extent in picture.size)
        part = picture.crop((left, top, left + side, top + side)).resize((size, size))
        found.append(part.transpose(0) if random.random() < 0.5 else part)
    return found


def planes(picture, mean=0.0, deviation=1.0) -> np.ndarray:
    """Makes a network's input of a picture: float32 [1, 3, height, width] of (value / 255 - mean) / deviation; mean and
    deviation per channel or for all."""
    values = (np.asarray(picture, dtype="float32") / 255 - np.float32(mean)) / np.float32(deviation)
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None], dtype="float32")
