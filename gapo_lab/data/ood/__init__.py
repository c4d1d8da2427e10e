"""Out-of-distribution test sets."""
