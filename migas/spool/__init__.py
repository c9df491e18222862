"""Where breadcrumbs wait until they are sent: the files of the state folder."""
