//! What somebody may have meant who wrote a word that is not known.

/// The candidate that `text` may be a slip of the finger for.
pub(crate) fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may be wrong; short words are too alike for more than one.
    let tolerance = (text.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&text.to_lowercase(), candidate), candidate))
        .filter(|(distance, candidate)| *distance <= tolerance && *distance < candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}
