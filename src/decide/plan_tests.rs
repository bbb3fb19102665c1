use super::*;

fn read(text: &str) -> String {
    let (plan, complaints) = Plan::parse(text, 16);
    std::iter::once(plan.to_string()).chain(complaints).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_plan_is_read_as_it_is_written() {
    for text in [r#"{}"#, r#"{"a":"0-15"}"#, r#"{"a":"0-3,7","b":"4-6,15"}"#, r#"{"say \"hi\" {x}":"1"}"#] {
        assert_eq!(read(text), text);
    }
}

#[test]
fn a_plan_knows_owners_and_their_partitions() {
    let (plan, _) = Plan::parse(r#"{"a":"0-3,7","b":"4-6"}"#, 8);

    assert_eq!(plan.owner_of(Partition(7)), Some("a"));
    assert_eq!(plan.owner_of(Partition(8)), None);
    assert!(plan.of("b").eq([4, 5, 6].map(Partition)));
    assert_eq!(plan.of("c").count(), 0);
}

#[test]
fn before_the_first_plan_nobody_owns_anything() {
    assert_eq!(Plan::parse("", 16), (Plan::default(), vec![]));
}

#[test]
fn text_that_is_no_plan_is_an_empty_one_and_said_so() {
    assert_eq!(read("[1]"), "{}\nthe plan is not a JSON object");
    assert!(read("{\"a\":").starts_with("{}\nthe plan is not JSON"));
}

#[test]
fn what_is_readable_of_a_broken_plan_is_read() {
    let text = r#"{"a":"0-1,x,7-5,-3,+4,14-99,4294967296","b":"1-2","c":3,"d":null,"e":""}"#;

    assert_eq!(
        read(text),
        r#"{"a":"0-1,14-15","b":"2"}
6 of the ranges of `a` are not partitions from 0 to 15
1 of the partitions of `b` are given twice
the partitions of `c` are not text
the partitions of `d` are not text"#
    );
}
