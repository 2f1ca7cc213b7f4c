//! The environment variables of a model's Python. Only listed variables are inherited: modules loaded on a cluster set
//! `PYTHONPATH`, `LD_LIBRARY_PATH` and worse. Reads no variable of this process; they come as an argument.
//!
//! In this order, later ones win: inherited variables ([`KEPT`], and the manifest's `keep`), rootstock's ([`set`]), the
//! manifest's `variables`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::user_cache::user_cache;
use super::{Selected, Variables, job};
use crate::store::Root;

/// The user, the devices and processors of the job, and its number of threads. Those that name devices are passed on
/// unchanged: only the scheduler knows their meaning.
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
    // This task's rank, as Intel MPI and torchrun name it, and the address of the others.
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
    // Which kernels compute: what numbers depend on in the last places.
    "ATEN_CPU_CAPABILITY",
    "OPENBLAS_CORETYPE",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
    "NPY_DISABLE_CPU_FEATURES",
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
];

/// Prefixes of the variables by which schedulers and MPI launchers describe the job, the task and how tasks find each
/// other: Slurm, PBS, LSF with jsrun, Flux, PALS, and the MPIs with their process managers.
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

/// Prefixes of the variables that decide which code Python and the dynamic loader load. They are not kept even if a
/// pattern of the manifest, such as `P*`, matches them.
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

/// Variables with the same value for every user.
const FIXED: &[(&str, &str)] = &[
    // `sync` has fetched the weights, and compute nodes have no network.
    ("HF_HUB_OFFLINE", "1"),
    ("HF_HUB_DISABLE_TELEMETRY", "1"),
    // Devices are numbered as `nvidia-smi` and the scheduler number them.
    ("CUDA_DEVICE_ORDER", "PCI_BUS_ID"),
    // The values that glibc adapts to after a while: otherwise the arrays of each step are returned to the system and
    // allocated again, page by page, at the next.
    ("MALLOC_MMAP_THRESHOLD_", "33554432"),
    ("MALLOC_TRIM_THRESHOLD_", "134217728"),
    // For Pythons started without `-I -B`, by a command of `rootstock run` or by a model.
    ("PYTHONNOUSERSITE", "1"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
];

/// The number of threads of a process, which MKL, OpenBLAS, NumExpr and PyTorch follow, too, unless variables of their own are
/// set. Without it they start a thread for each processor of the node, or of those that the task is bound to.
const THREADS: &str = "OMP_NUM_THREADS";

/// All variables of a model's Python, given those of this process.
pub(crate) fn for_python(root: &Root, selected: &Selected, inherited: &Variables) -> Variables {
    let mut variables = kept(selected, inherited);
    variables.extend(set(root, selected, inherited));
    variables
}

/// The same for processes that share the processors of this task: without a number of threads, unless the user or the manifest has
/// set one.
pub(crate) fn for_several(root: &Root, selected: &Selected, inherited: &Variables) -> Variables {
    let mut variables = for_python(root, selected, inherited);
    if !is_set(THREADS, inherited) && !selected.settings.variables.contains_key(THREADS) {
        variables.remove(OsStr::new(THREADS));
    }
    variables
}

fn is_set(name: &str, inherited: &Variables) -> bool {
    let value = inherited.get(OsStr::new(name));
    value.is_some_and(|value| !value.is_empty())
}

/// The inherited variables.
pub(super) fn kept(selected: &Selected, inherited: &Variables) -> Variables {
    let is_kept = |name: &str| {
        KEPT.contains(&name)
            || LAUNCHERS.iter().any(|prefix| name.starts_with(prefix))
            || selected
                .settings
                .keep
                .iter()
                .any(|pattern| matches(pattern, name))
                && !is_never_kept(name)
    };
    inherited
        .iter()
        .filter(|(name, _)| name.to_str().is_some_and(is_kept))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Whether a variable decides which code is loaded.
pub(super) fn is_never_kept(name: &str) -> bool {
    NEVER_KEPT.iter().any(|prefix| name.starts_with(prefix))
}

/// Names of the variables for which rootstock has a default value.
pub(super) fn defaults() -> impl Iterator<Item = &'static str> {
    FIXED.iter().chain(CACHES).map(|(name, _)| *name)
}

/// Whether a pattern of `keep`, a name or `PREFIX*`, matches this name.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    }
}

/// The variables that rootstock and the manifest set.
pub(super) fn set(root: &Root, selected: &Selected, inherited: &Variables) -> Variables {
    let user_cache = user_cache(inherited);
    let mut variables = Variables::new();
    let mut insert = |name: &str, value: OsString| variables.insert(name.into(), value);
    insert("PATH", path(selected));
    insert("XDG_CACHE_HOME", root.cache().into());
    for (name, value) in FIXED {
        insert(name, value.into());
    }
    for (name, directory) in CACHES {
        insert(name, user_cache.join(directory).into());
    }
    if let Some(threads) = job::threads(inherited).filter(|_| !is_set(THREADS, inherited)) {
        insert(THREADS, threads.to_string().into());
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

/// The directories of the system's programs.
pub(crate) const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The environment's programs, then the system's; not those of loaded modules.
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
    use std::collections::BTreeMap;

    use super::*;
    use crate::store::CatalogueEnvironment;

    fn selected() -> Selected {
        Selected {
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
                functions: std::collections::BTreeSet::new(),
            },
            about: crate::about::About::default(),
        }
    }

    fn python_variables(inherited: &[(&str, &str)]) -> Variables {
        let root = Root::at("/root-of-all".as_ref(), None);
        let selected = selected();
        let inherited = inherited
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        for_python(&root, &selected, &inherited)
    }

    #[test]
    fn python_gets_listed_variables_and_those_of_the_manifest() {
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
    fn the_number_of_threads_is_the_tasks_unless_it_is_set() {
        let threads = |inherited: &[(&str, &str)]| {
            let root = Root::at("/root-of-all".as_ref(), None);
            let selected = Selected {
                settings: CatalogueEnvironment::default(),
                ..selected()
            };
            let inherited = inherited
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect();
            let variables = for_python(&root, &selected, &inherited);
            let threads = variables.get(OsStr::new(THREADS));
            threads.map(|value| value.to_str().unwrap().to_owned())
        };
        let set = |value: &str| Some(value.to_owned());
        assert_eq!(threads(&[]), None);
        assert_eq!(threads(&[("SLURM_CPUS_PER_TASK", "4")]), set("4"));
        let both = [("SLURM_CPUS_PER_TASK", "4"), (THREADS, "2")];
        assert_eq!(threads(&both), set("2"));
        let empty = [("SLURM_CPUS_PER_TASK", "4"), (THREADS, "")];
        assert_eq!(threads(&empty), set("4"));
        // The manifest's variable wins over both.
        let seen = python_variables(&[("SLURM_CPUS_PER_TASK", "4")]);
        assert_eq!(seen[OsStr::new(THREADS)], "1");
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
    fn the_manifest_adds_to_what_is_inherited_except_what_decides_the_code() {
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
}
