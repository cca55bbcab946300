"""The matrix of the vector product, and axes across rays."""

import numpy as np
import pytest

from ffbidx_core.model.vectors import axes_of_rays, cross_matrix


@pytest.fixture
def vectors():
    return np.random.default_rng(5).normal(size=(200, 3))


def test_cross_matrix_times_a_vector_is_the_vector_product(vectors):
    others = vectors[::-1]
    assert np.allclose(np.einsum("nij,nj->ni", cross_matrix(vectors), others), np.cross(vectors, others))
    assert cross_matrix(vectors.reshape(2, 100, 3)).shape == (2, 100, 3, 3)


def test_axes_of_a_ray_are_a_right_handed_system_that_ends_with_the_ray(vectors):
    axes = np.moveaxis(np.array(axes_of_rays(*vectors.T)), -1, 0)
    assert np.allclose(axes @ np.swapaxes(axes, 1, 2), np.eye(3))
    assert np.allclose(np.cross(axes[:, 2], axes[:, 0]), axes[:, 1])
    assert np.allclose(axes[:, 2], vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@pytest.mark.parametrize("ray", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (-1, 1e-9, 0), (0.6, 0.8, 0)])
def test_rays_along_an_axis_have_axes_across_too(ray):
    axes = np.array(axes_of_rays(*np.array(ray, dtype=np.float64)))
    assert np.allclose(axes @ axes.T, np.eye(3))
