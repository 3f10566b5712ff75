use super::*;

#[test]
fn words_that_say_nothing_count_only_where_there_are_no_others() {
    let list = |text| terms(text).into_iter().collect::<Vec<_>>();
    assert_eq!(list("What is the Name of my dogs?"), ["dog", "name"]);
    assert_eq!(list("to be or not to be"), ["be", "not", "or", "to"]);
    assert_eq!(list("?!"), Vec::<String>::new());
}
