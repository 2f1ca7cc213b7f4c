"""UMA and eSEN by fairchem: universal models of Meta for molecules, materials, catalysts, MOFs and molecular crystals.

B. M. Wood et al., arXiv:2506.23971 (2025); X. Fu et al., arXiv:2502.12147 (2025) for eSEN. Licence of the code: MIT. The weights are
GATED: under the FAIR Chemistry License, which has to be accepted on the Hugging Face Hub (facebook/UMA, facebook/OMol25); `HF_TOKEN` in the
environment of `rootstock sync` then gets them.
"""

# /// script
# requires-python = ">=3.12"
# dependencies = ["ase==3.29.0", "fairchem-core==2.24.0"]
# ///


def setup(model, device, task_name=None, inference_settings="high-precision", **kwargs):
    """Return fairchem's ASE calculator; `model` is `uma-s-1p2` if empty.

    UMA needs `task_name=`: `omat` (materials), `omol` (molecules; charge and spin multiplicity in `atoms.info`), `oc20`
    (catalysis), `odac` (MOFs) or `omc` (molecular crystals). `inference_settings="default"` is faster, with TF32.
    """
    return setup_from_path(model or "uma-s-1p2", device, task_name, inference_settings, **kwargs)


def setup_from_path(path, device, task_name=None, inference_settings="high-precision", **kwargs):
    """Return the calculator of a checkpoint, such as one of a fine-tuned model."""
    from fairchem.core import FAIRChemCalculator, pretrained_mlip

    unit = pretrained_mlip.get_predict_unit(path, inference_settings=inference_settings, device=device.split(":")[0])
    return FAIRChemCalculator(unit, task_name=task_name, **kwargs)
