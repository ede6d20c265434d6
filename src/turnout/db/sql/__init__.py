"""Plans to SQL, one file an engine. Nothing outside this folder writes SQL that holds a name."""
