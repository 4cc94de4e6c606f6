//! One result out of those of many objects.

use lifecycle::Fault;

/// Returns every value, or the fault that decides: a lasting one before a transient one, and the first of these.
pub fn all_or_fault<T>(results: Vec<Result<T, Fault>>) -> Result<Vec<T>, Fault> {
    let (mut values, mut faults) = (Vec::with_capacity(results.len()), Vec::new());
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(fault) => faults.push(fault),
        }
    }
    faults.sort_by_key(|fault| fault.transient);
    faults.into_iter().next().map_or(Ok(values), Err)
}

#[cfg(test)]
mod tests {
    use lifecycle::Reason;

    use super::*;

    #[test]
    fn a_lasting_fault_decides_over_a_transient_one_and_the_first_over_the_next() {
        let transient = Fault::transient(Reason::ApplyFailed, "not now");
        let lasting = |message| Fault::new(Reason::Forbidden, message);
        let table = [
            (vec![Ok(1), Ok(2)], Ok(vec![1, 2])),
            (vec![Ok(1), Err(transient.clone())], Err(transient.clone())),
            (vec![Err(transient), Err(lasting("a")), Err(lasting("b"))], Err(lasting("a"))),
        ];
        for (results, expected) in table {
            assert_eq!(all_or_fault(results), expected);
        }
    }
}
