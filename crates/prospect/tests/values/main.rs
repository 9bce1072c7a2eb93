//! Values of real programs: their global variables, read from live processes, compared with what they are.

mod c;
mod cxx;
mod rust;
mod subject;

#[test]
fn zz_dump() {
    let Ok(build) = std::env::var("DUMP") else { return };
    let subject = subject::Subject::new(&build).unwrap();
    subject.dump();
}
