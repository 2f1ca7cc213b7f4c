//! The variables a worker's Python runs with. Nothing is inherited that is not listed: modules loaded on a cluster leave
//! `PYTHONPATH`, `LD_LIBRARY_PATH` and worse behind. Reads no variable itself; what there is comes as an argument.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::select::Selected;
use crate::store::Root;

/// Variables as a process has them.
pub type Variables = BTreeMap<OsString, OsString>;

/// Who the user is, which devices and processors the job was given, and how many threads it may use.
const KEPT: &[&str] = &[
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    // Devices, as the scheduler gave them.
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
    "ROCR_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
    "ZE_AFFINITY_MASK",
    "ONEAPI_DEVICE_SELECTOR",
    "CUDA_MPS_PIPE_DIRECTORY",
    "CUDA_MPS_LOG_DIRECTORY",
    "SLURM_JOB_ID",
    "SLURM_LOCALID",
    "SLURM_PROCID",
    "SLURM_NTASKS",
    "SLURM_CPUS_PER_TASK",
    "SLURM_JOB_GPUS",
    "PBS_JOBID",
    "FLUX_JOB_ID",
    // Threads.
    "OMP_NUM_THREADS",
    "OMP_PROC_BIND",
    "OMP_PLACES",
    "OMP_STACKSIZE",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "KMP_AFFINITY",
    "KMP_BLOCKTIME",
    "GOMP_CPU_AFFINITY",
];

/// Caches of compiled code. They depend on device, driver and user, so they belong to the user, not to the root.
const CACHES: &[(&str, &str)] = &[
    ("TRITON_CACHE_DIR", "triton"),
    ("TORCHINDUCTOR_CACHE_DIR", "torchinductor"),
    ("TORCH_EXTENSIONS_DIR", "torch_extensions"),
    ("CUDA_CACHE_PATH", "cuda"),
    ("NUMBA_CACHE_DIR", "numba"),
    ("WARP_CACHE_PATH", "warp"),
    ("CUEQUIVARIANCE_CACHE_DIR", "cuequivariance"),
    ("JAX_COMPILATION_CACHE_DIR", "jax"),
    ("MPLCONFIGDIR", "matplotlib"),
];

/// All variables of a model's Python, from those that this process has.
pub fn variables(root: &Root, selected: &Selected, inherited: &Variables) -> Variables {
    let user_cache = user_cache(inherited);
    let mut variables: Variables = KEPT
        .iter()
        .filter_map(|name| Some((name.into(), inherited.get(OsStr::new(name))?.clone())))
        .collect();
    let mut set = |name: &str, value: OsString| variables.insert(name.into(), value);
    set("PATH", path(selected));
    set("XDG_CACHE_HOME", root.cache().into());
    // The weights are there: `sync` has fetched them, and compute nodes have no network.
    set("HF_HUB_OFFLINE", "1".into());
    // Devices are numbered as `nvidia-smi` and the scheduler number them.
    set("CUDA_DEVICE_ORDER", "PCI_BUS_ID".into());
    for (name, directory) in CACHES {
        set(name, user_cache.join(directory).into());
    }
    let places = [
        ("{root}", root.path().to_owned()),
        ("{cache}", root.cache().to_owned()),
        ("{env}", selected.generation.clone()),
        ("{user-cache}", user_cache),
    ];
    for (name, value) in &selected.variables {
        variables.insert(name.into(), expand(value, &places).into());
    }
    variables
}

/// Where this user may keep what need not be kept.
fn user_cache(inherited: &Variables) -> PathBuf {
    let given = |name: &str| {
        inherited
            .get(OsStr::new(name))
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    given("XDG_CACHE_HOME")
        .or_else(|| given("HOME").map(|home| home.join(".cache")))
        .or_else(|| given("TMPDIR"))
        .unwrap_or_else(|| "/tmp".into())
        .join("rootstock")
}

/// The environment's own programs, then the system's; those of loaded modules are not ours.
fn path(selected: &Selected) -> OsString {
    let mut path = selected.generation.join("bin").into_os_string();
    path.push(":/usr/local/bin:/usr/bin:/bin");
    path
}

fn expand(value: &str, places: &[(&str, PathBuf)]) -> String {
    places
        .iter()
        .fold(value.to_owned(), |value, (name, place)| {
            value.replace(name, &place.to_string_lossy())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python_variables(inherited: &[(&str, &str)]) -> Variables {
        let root = Root::at("/root-of-all".as_ref(), None);
        let selected = Selected {
            environment: "mace".parse().unwrap(),
            generation: "/root-of-all/generations/mace/1".into(),
            argument: String::new(),
            setup: serde_json::Map::new(),
            variables: BTreeMap::from([
                ("OMP_NUM_THREADS".to_owned(), "1".to_owned()),
                (
                    "MODELS".to_owned(),
                    "{cache}/m:{env}/n:{user-cache}:{root}".to_owned(),
                ),
            ]),
        };
        let inherited = inherited
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        variables(&root, &selected, &inherited)
    }

    #[test]
    fn python_sees_what_is_listed_and_what_the_manifest_says() {
        let seen = python_variables(&[
            ("HOME", "/home/me"),
            ("PYTHONPATH", "/evil"),
            ("LD_LIBRARY_PATH", "/evil"),
            ("CUDA_VISIBLE_DEVICES", "2"),
            ("OMP_NUM_THREADS", "64"),
        ]);
        let get = |name: &str| {
            seen.get(OsStr::new(name))
                .map(|value| value.to_str().unwrap())
        };
        assert_eq!(get("HOME"), Some("/home/me"));
        assert_eq!(get("CUDA_VISIBLE_DEVICES"), Some("2"));
        assert_eq!(get("PYTHONPATH"), None);
        assert_eq!(get("LD_LIBRARY_PATH"), None);
        assert_eq!(get("OMP_NUM_THREADS"), Some("1"));
        assert_eq!(get("XDG_CACHE_HOME"), Some("/root-of-all/cache"));
        assert_eq!(
            get("TRITON_CACHE_DIR"),
            Some("/home/me/.cache/rootstock/triton")
        );
        assert_eq!(
            get("MODELS"),
            Some(
                "/root-of-all/cache/m:/root-of-all/generations/mace/1/n:/home/me/.cache/rootstock:/root-of-all"
            )
        );
    }

    #[test]
    fn the_users_own_cache_directory_is_respected() {
        let seen = python_variables(&[("HOME", "/home/me"), ("XDG_CACHE_HOME", "/scratch/me")]);
        assert_eq!(
            seen[OsStr::new("NUMBA_CACHE_DIR")],
            "/scratch/me/rootstock/numba"
        );
    }
}
