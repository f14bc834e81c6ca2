/* The least a program can be: what is measured is the sandbox around it. */
int main(void) { return 0; }
