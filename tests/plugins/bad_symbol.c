/* A shared object that is no plugin: no readside_projection(). */
int bad_symbol(void);

int bad_symbol(void)
{
    return 0;
}
