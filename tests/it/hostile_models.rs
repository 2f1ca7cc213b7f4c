//! Models that answer with what is no result, or whose exceptions say what no message was made for. What is compared
//! stands in `tests/python/hostile_models.py`.

use super::worker::{here, run};

macro_rules! cases {
    ($($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                run("hostile_models.py", &[stringify!($case)]);
            }
        )*
    };
}

cases!(
    stress_that_is_not_finite results_of_another_type numbers_of_other_types
    exceptions_arrive_whatever_they_say
    exceptions_arrive_where_libraries_replaced_what_carries_them
    exceptions_that_cannot_say_what_they_are
);

#[test]
fn exceptions_arrive_in_memory() {
    let package = here().join("python");
    let package = package.to_str().unwrap();
    run(
        "hostile_models.py",
        &["exceptions_arrive_in_memory", package],
    );
}
