"""As much of torch as atomate2 needs to restore its default type after a job of any force field."""

float32, float64 = "float32", "float64"


def get_default_dtype():
    return float32


def set_default_dtype(dtype):
    assert dtype == float32
