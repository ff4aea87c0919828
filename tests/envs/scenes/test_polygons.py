"""Polygons and the shapes made of them: areas, symmetry, pieces, and what is refused."""

import gymnasium
import numpy as np
import pytest

from eqrl.envs.manipulation.shaped import joined, upright_axes
from eqrl.envs.scenes import polygons
from eqrl.envs.scenes.shapes import SHAPES, SPLITS, shape_of

NAMES = [*SHAPES, *(f"random{seed}" for seed in range(6))]
SQUARE = np.array([(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
COMB = [(0, 0), (5, 0), (5, 3), (4, 3), (4, 1), (3, 1), (3, 3), (2, 3), (2, 1), (1, 1), (1, 3), (0, 3)]


def area_of_pieces(shape):
    return sum(4 * w * d for _, _, w, d in shape.boxes) + sum(polygons.area(piece) for piece in shape.prisms)


@pytest.mark.parametrize("name", NAMES)
def test_the_pieces_make_up_the_outline_about_its_centre_of_area(name):
    shape = shape_of("shape", name)
    assert area_of_pieces(shape) == pytest.approx(shape.area, rel=1e-12)
    assert all(polygons.is_convex(piece) for piece in shape.prisms)
    np.testing.assert_allclose(polygons.centred(shape.outline), shape.outline, atol=1e-15)
    assert shape.scaled_to(0.05).radius == pytest.approx(0.05)


@pytest.mark.parametrize("name", NAMES)
def test_order_and_mirror_are_those_of_the_outline(name):
    shape = shape_of("shape", name)
    assert polygons.order(shape.outline) == shape.order
    if shape.mirror:
        assert polygons.is_mirrored(shape.outline)
        centres = np.array([*(box[:2] for box in shape.boxes), *(piece.mean(axis=0) for piece in shape.prisms)])
        flipped = centres * (-1.0, 1.0)
        assert np.abs(flipped[:, None] - centres[None]).max(axis=-1).min(axis=0).max() < 1e-12


@pytest.mark.parametrize(
    ("name", "order", "mirror"),
    [("T", 1, True), ("L", 1, False), ("bar", 2, True), ("plus", 4, True), ("star", 5, True), ("hexagon", 6, False)],
)
def test_orders_of_named_shapes(name, order, mirror):
    assert (SHAPES[name].order, SHAPES[name].mirror) == (order, mirror)


@pytest.mark.parametrize(
    ("corners", "order"),
    [
        ([(0, 0), (1, 0), (0.5, 0.866)], 3),
        ([(1, 0), (0.5, 0.866), (-0.5, 0.866), (-1, 0), (-0.5, -0.866), (0.5, -0.866)], 6),
        ([(1, 0), (0.309, 0.951), (-0.809, 0.588), (-0.809, -0.588), (0.309, -0.951)], 5),
        ([(0, 0), (100, 0), (50, 86.6)], 3),
        ([(0, 0), (1, 0), (0.5, 0.86)], 1),
        ([(0, 0), (1, 0), (1, 1.01), (0, 1.01)], 2),
    ],
)
def test_polygons_that_are_regular_but_for_rounding_have_the_order_of_regular_ones(corners, order):
    assert shape_of("shape", corners).order == order


def test_equal_headings_of_a_rounded_triangle_differ_by_no_angle_whichever_of_its_turns_they_are():
    task = gymnasium.make("eqrl/Sliding-v0", shape=[(0, 0), (1, 0), (0.5, 0.866)]).unwrapped.task
    centre, headings = np.zeros((6, 2)), np.linspace(-3.0, 3.0, 6)
    axes = np.array([upright_axes(heading) for heading in headings])
    turned = np.array([upright_axes(heading + 2 * np.pi / 3) for heading in headings])
    goal, same, next_one = (
        joined(at, task.points_at(at, where)) for at, where in ((centre, axes), (centre + 0.3, axes), (centre, turned))
    )
    assert np.rad2deg(task.errors(same, goal)["angle"]).max() < 0.01
    assert np.rad2deg(task.errors(next_one, goal)["angle"]).max() < 0.1


@pytest.mark.parametrize("name", NAMES)
def test_walls_fill_the_surroundings_of_a_widened_shape(name):
    shape = shape_of("shape", name).scaled_to(0.05)
    hole = polygons.checked(polygons.widened(shape.outline, 0.002))
    walls = polygons.surroundings(hole, 0.1)
    assert all(polygons.is_convex(wall) and polygons.area(wall) > 0 for wall in walls)
    hull = np.array([wall[1] for wall in walls if np.linalg.norm(wall, axis=1).max() > 0.0999])
    outer = 0.1 * hull / np.linalg.norm(hull, axis=1, keepdims=True)
    assert sum(map(polygons.area, walls)) + polygons.area(hole) == pytest.approx(polygons.area(outer), rel=1e-9)


def test_widened_squares_and_combs_have_the_clearance_on_every_side():
    np.testing.assert_allclose(polygons.widened(SQUARE, 0.1), (SQUARE - 0.5) * 1.2 + 0.5, atol=1e-15)
    comb = polygons.checked(COMB)
    wide = polygons.widened(comb, 0.1)
    assert polygons.area(wide) > polygons.area(comb)
    assert np.abs(wide - comb).max() == pytest.approx(0.1)
    pieces = polygons.convex_pieces(comb)
    assert sum(map(polygons.area, pieces)) == pytest.approx(polygons.area(comb))
    assert len(pieces) <= 6


@pytest.mark.parametrize("count", [3, 16, 24, 48])
@pytest.mark.parametrize("name", ["T", "star", "random1"])
def test_outlines_are_even(name, count):
    outline = SHAPES["T"].outline if name == "T" else shape_of("shape", name).outline
    points = polygons.resampled(outline, count)
    assert points.shape == (count, 2)
    np.testing.assert_array_equal(points[0], outline[0])
    perimeter = np.linalg.norm(np.roll(outline, -1, axis=0) - outline, axis=1).sum()
    steps = np.linalg.norm(np.roll(points, -1, axis=0) - points, axis=1)
    assert steps.max() <= perimeter / count + 1e-12  # a chord cuts corners
    if count == 48:
        assert steps.sum() > 0.9 * perimeter


def test_clockwise_polygons_are_reversed_and_straight_corners_dropped():
    corners = [(0, 0), (0, 1), (1, 1), (1, 0), (0.5, 0)]
    polygon = polygons.checked(corners)
    assert polygons.area(polygon) == pytest.approx(1.0)
    assert len(polygon) == 4
    assert polygons.order(polygons.centred(polygon)) == 4


@pytest.mark.parametrize(
    ("corners", "message"),
    [
        ([(0, 0), (1, 1), (1, 0), (0, 1)], "crosses itself: edge 0 meets edge 2"),
        ([(0, 0), (2, 0), (2, 2), (1, 0), (0, 2)], "crosses itself"),
        ([(0, 0), (2, 0), (1, 0), (1, 1)], "crosses itself"),
        ([(0, 0), (1, 0)], "degenerate"),
        ([(0, 0), (1, 0), (1, 0), (0, 1)], "degenerate.*same point"),
        ([(0, 0), (1, 0), (2, 0)], "degenerate: all its corners lie on one line"),
        ([(0, 0), (1, 1), (2, 2)], "degenerate: all its corners lie on one line"),
        ([(0, 0), (3, 1), (1, 1 / 3), (2, 2 / 3)], "degenerate: all its corners lie on one line"),
        ([(0, 0), (1, 0), (1, float("nan"))], "finite pairs"),
        ([(0, 0), (1, 0), 3], "finite pairs"),
        (7, "finite pairs"),
    ],
)
def test_polygons_that_are_none_are_refused(corners, message):
    with pytest.raises(ValueError, match=f"^outline .*({message})"):
        polygons.checked(corners, "outline")


def test_unknown_names_are_answered_with_the_closest():
    with pytest.raises(ValueError, match="shape='pentagn' is not known; did you mean 'pentagon'"):
        shape_of("shape", "pentagn")


def test_random_polygons_follow_their_seed():
    one, again, other = (shape_of("shape", name).outline for name in ("random3", "random3", "random4"))
    np.testing.assert_array_equal(one, again)
    assert one.shape != other.shape or not np.allclose(one, other)


def test_splits_share_no_shape():
    assert not set(SPLITS["train"]) & set(SPLITS["test"])
    assert {*SPLITS["train"], *SPLITS["test"]} >= set(SHAPES)
