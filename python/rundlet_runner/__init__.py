"""The step runner: runs one step inside its sandbox and says what came of it.

Speaks the protocol in docs/reference/step-protocol.md. It shares its interpreter and packages with
the user's code, so it imports little, and each library only for the kind of step that needs it.
"""
