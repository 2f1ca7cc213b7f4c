//! The variables that a model's Python runs with. Nothing is inherited that is not listed: modules loaded on a cluster leave
//! `PYTHONPATH`, `LD_LIBRARY_PATH` and worse behind. Reads no variable itself; what there is comes as an argument. What a
//! command of `rootstock run` gets is decided in `command`.
//!
//! In this order, later ones winning: what is inherited ([`KEPT`], and what the manifest's `keep` names), what rootstock
//! sets ([`ours`]), what the manifest's `variables` say.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::select::Selected;
use crate::store::Root;

/// Variables as a process has them.
pub type Variables = BTreeMap<OsString, OsString>;

/// Who the user is, which devices and processors the job was given, and how many threads it may use. Those that name
/// devices are passed on untouched: only the scheduler knows what it has put into them.
const KEPT: &[&str] = &[
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TERM",
    "TMPDIR",
    // Devices, as the scheduler gave them.
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
    "ROCR_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
    "ZE_AFFINITY_MASK",
    "ZE_FLAT_DEVICE_HIERARCHY",
    "ONEAPI_DEVICE_SELECTOR",
    "CUDA_MPS_PIPE_DIRECTORY",
    "CUDA_MPS_LOG_DIRECTORY",
    "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE",
    // This task's rank, as Intel MPI and torchrun name it, and where the other ones are.
    "MPI_LOCALRANKID",
    "MPI_LOCALNRANKS",
    "RANK",
    "LOCAL_RANK",
    "GROUP_RANK",
    "ROLE_RANK",
    "NODE_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "GROUP_WORLD_SIZE",
    "ROLE_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
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

/// Beginnings of the variables in which schedulers and launchers of parallel programs say which job this is, which of its
/// tasks, and how its tasks find each other: Slurm, PBS, LSF with jsrun, Flux, PALS, and the MPIs with what they speak.
const LAUNCHERS: &[&str] = &[
    "SLURM_",
    "SLURMD_",
    "PBS_",
    "LSB_",
    "JSM_",
    "FLUX_",
    "PALS_",
    "ALPS_",
    "PMI_",
    "PMIX_",
    "OMPI_",
    "PRTE_",
    "MV2_",
    "MVP_",
    "I_MPI_",
    "HYDRA_",
    "HYDI_",
    "TORCHELASTIC_",
];

/// Beginnings of the variables that decide which code Python and the dynamic loader load: they are not kept even if a
/// wider name of the manifest's, `P*`, covers them.
const NEVER_KEPT: [&str; 2] = ["PYTHON", "LD_"];

/// Caches of compiled code. They depend on device, driver and user, so they belong to the user, not to the root; several
/// of these would otherwise follow `XDG_CACHE_HOME` into the root's cache.
const CACHES: &[(&str, &str)] = &[
    ("TRITON_CACHE_DIR", "triton"),
    ("TORCHINDUCTOR_CACHE_DIR", "torchinductor"),
    ("TORCH_EXTENSIONS_DIR", "torch_extensions"),
    ("PYTORCH_KERNEL_CACHE_PATH", "torch_kernels"),
    ("CUDA_CACHE_PATH", "cuda"),
    ("CUPY_CACHE_DIR", "cupy"),
    ("MIOPEN_USER_DB_PATH", "miopen"),
    ("MIOPEN_CUSTOM_CACHE_DIR", "miopen"),
    ("AMD_COMGR_CACHE_DIR", "comgr"),
    ("SYCL_CACHE_DIR", "sycl"),
    ("NEO_CACHE_DIR", "neo"),
    ("NUMBA_CACHE_DIR", "numba"),
    ("WARP_CACHE_PATH", "warp"),
    ("CUEQUIVARIANCE_CACHE_DIR", "cuequivariance"),
    ("JAX_COMPILATION_CACHE_DIR", "jax"),
    ("MPLCONFIGDIR", "matplotlib"),
];

/// What is the same for everybody.
const FIXED: &[(&str, &str)] = &[
    // The weights are there: `sync` has fetched them, and compute nodes have no network.
    ("HF_HUB_OFFLINE", "1"),
    ("HF_HUB_DISABLE_TELEMETRY", "1"),
    // Devices are numbered as `nvidia-smi` and the scheduler number them.
    ("CUDA_DEVICE_ORDER", "PCI_BUS_ID"),
    // Where glibc's own adaptation ends after a while: an array of each step's is not given back to the system and
    // taken again, page by page, at the next.
    ("MALLOC_MMAP_THRESHOLD_", "33554432"),
    ("MALLOC_TRIM_THRESHOLD_", "134217728"),
    // For Pythons that are started without `-I -B`: by a command of `rootstock run`, or by a model.
    ("PYTHONNOUSERSITE", "1"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
];

/// All variables of a model's Python, from those that this process has.
pub fn variables(root: &Root, selected: &Selected, inherited: &Variables) -> Variables {
    let mut variables = kept(selected, inherited);
    variables.extend(ours(root, selected, inherited));
    variables
}

/// Those that are passed on.
pub(super) fn kept(selected: &Selected, inherited: &Variables) -> Variables {
    let is_kept = |name: &str| {
        KEPT.contains(&name)
            || LAUNCHERS.iter().any(|prefix| name.starts_with(prefix))
            || selected.settings.keep.iter().any(|kept| covers(kept, name)) && !is_never_kept(name)
    };
    inherited
        .iter()
        .filter(|(name, _)| name.to_str().is_some_and(is_kept))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Whether a variable decides which code is loaded, so that it is not kept even if `keep` names it.
pub(super) fn is_never_kept(name: &str) -> bool {
    NEVER_KEPT.iter().any(|prefix| name.starts_with(prefix))
}

/// The variables that rootstock sets to a value which is good for most.
pub(super) fn defaults() -> impl Iterator<Item = &'static str> {
    FIXED.iter().chain(CACHES).map(|(name, _)| *name)
}

/// Whether a name of the manifest's `keep` stands for this one.
pub(super) fn covers(kept: &str, name: &str) -> bool {
    match kept.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => kept == name,
    }
}

/// Those that rootstock and the manifest set.
pub(super) fn ours(root: &Root, selected: &Selected, inherited: &Variables) -> Variables {
    let user_cache = user_cache(inherited);
    let mut variables = Variables::new();
    let mut set = |name: &str, value: OsString| variables.insert(name.into(), value);
    set("PATH", path(selected));
    set("XDG_CACHE_HOME", root.cache().into());
    for (name, value) in FIXED {
        set(name, value.into());
    }
    for (name, directory) in CACHES {
        set(name, user_cache.join(directory).into());
    }
    let places = [
        ("{root}", root.path().to_owned()),
        ("{cache}", root.cache().to_owned()),
        ("{env}", selected.generation.clone()),
        ("{user-cache}", user_cache),
    ];
    for (name, value) in &selected.settings.variables {
        variables.insert(name.into(), expand(value, &places).into());
    }
    variables
}

/// What launchers of jobs call the number of a task among those of its node.
const LOCAL_RANKS: &[&str] = &[
    "SLURM_LOCALID",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "MPI_LOCALRANKID",
    "PALS_LOCAL_RANKID",
    "PMI_LOCAL_RANK",
    "MV2_COMM_WORLD_LOCAL_RANK",
    "FLUX_TASK_LOCAL_ID",
    "JSM_NAMESPACE_LOCAL_RANK",
    "LOCAL_RANK",
];

/// Which of the tasks of this node we are: the first of [`LOCAL_RANKS`] that is a number, or 0.
pub(super) fn local_rank(inherited: &Variables) -> u32 {
    let number = |name: &&str| inherited.get(OsStr::new(name))?.to_str()?.parse().ok();
    LOCAL_RANKS.iter().find_map(number).unwrap_or(0)
}

/// Where this user may keep what need not be kept.
pub(super) fn user_cache(inherited: &Variables) -> PathBuf {
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

/// Where the system's programs are.
pub const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The environment's own programs, then the system's; those of loaded modules are not ours.
fn path(selected: &Selected) -> OsString {
    let mut path = selected.generation.join("bin").into_os_string();
    path.push(":");
    path.push(SYSTEM_PATH);
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
    use crate::store::CatalogueEnvironment;

    fn python_variables(inherited: &[(&str, &str)]) -> Variables {
        let root = Root::at("/root-of-all".as_ref(), None);
        let selected = Selected {
            environment: "mace".parse().unwrap(),
            generation: "/root-of-all/generations/mace/1".into(),
            argument: String::new(),
            setup: serde_json::Map::new(),
            weights: None,
            cached: Vec::new(),
            settings: CatalogueEnvironment {
                variables: BTreeMap::from([
                    ("OMP_NUM_THREADS".to_owned(), "1".to_owned()),
                    (
                        "MODELS".to_owned(),
                        "{cache}/m:{env}/n:{user-cache}:{root}".to_owned(),
                    ),
                ]),
                keep: ["MY_SITE", "P*", "SITE_*"].map(str::to_owned).into(),
            },
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

    #[test]
    fn what_the_manifest_names_is_kept_and_what_decides_the_code_never_is() {
        let seen = python_variables(&[
            ("MY_SITE", "1"),
            ("MY_SITE_TOO", "2"),
            ("SITE_A", "3"),
            ("PYTHONPATH", "/evil"),
            ("PYTHONHOME", "/evil"),
            ("PMI_RANK", "4"),
            ("PATH", "/evil"),
        ]);
        let get = |name: &str| {
            seen.get(OsStr::new(name))
                .map(|value| value.to_str().unwrap())
        };
        assert_eq!(get("MY_SITE"), Some("1"));
        assert_eq!(get("MY_SITE_TOO"), None);
        assert_eq!(get("SITE_A"), Some("3"));
        assert_eq!(get("PMI_RANK"), Some("4"));
        assert_eq!((get("PYTHONPATH"), get("PYTHONHOME")), (None, None));
        assert!(!get("PATH").unwrap().contains("evil"));
    }

    #[test]
    fn a_cache_of_compiled_code_is_never_in_the_root() {
        let seen = python_variables(&[("HOME", "/home/me")]);
        for (name, _) in CACHES {
            assert!(
                seen[OsStr::new(name)]
                    .to_str()
                    .unwrap()
                    .starts_with("/home/me/.cache/rootstock/"),
                "{name}"
            );
        }
    }

    #[test]
    fn the_local_rank_is_the_schedulers() {
        let rank = |pairs: &[(&str, &str)]| {
            local_rank(&pairs.iter().map(|(n, v)| (n.into(), v.into())).collect())
        };
        assert_eq!(rank(&[]), 0);
        assert_eq!(rank(&[("OMPI_COMM_WORLD_LOCAL_RANK", "3")]), 3);
        assert_eq!(rank(&[("LOCAL_RANK", "5"), ("SLURM_LOCALID", "2")]), 2);
        assert_eq!(
            rank(&[("SLURM_LOCALID", ""), ("PALS_LOCAL_RANKID", "1")]),
            1
        );
    }
}
