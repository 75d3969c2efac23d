//! What happened at this boot: the file in /run, one line in the journal, one on the console.
